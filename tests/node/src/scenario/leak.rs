//! What a scenario left behind: the difference of two pictures of a machine.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    machine::{Machine, picture},
};

/// How long what is ending may take to end: processes being reaped, groups being removed, the files
/// of a destroyed container (slowly, on an emulated machine).
const SETTLE: Duration = Duration::from_secs(60);

/// Compares the machine with an earlier picture of it, until it is the same or has had its time.
///
/// # Errors
/// The machine is gone.
pub fn find(machine: &dyn Machine, before: &[String]) -> Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let found = difference(before, &picture(machine)?);
        if found.is_empty() || start.elapsed() > SETTLE {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// What is more (`+`) or less (`-`) than before. The same thing twice is two things.
pub fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let (mut before, mut after) = (before.to_vec(), after.to_vec());
    before.sort();
    after.sort();
    let mut found = Vec::new();
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(o), Some(n)) if o == n => {
                old.next();
                new.next();
            }
            (Some(o), other) if other.is_none_or(|n| o < n) => {
                found.push(format!("- {o}"));
                old.next();
            }
            _ => found.extend(new.next().map(|line| format!("+ {line}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn each_thing_more_or_less_is_named() {
        assert_eq!(difference(&words("a b d"), &words("b c d e")), ["- a", "+ c", "+ e"]);
        assert_eq!(difference(&words("sleep"), &words("sleep sleep")), ["+ sleep"]);
        assert_eq!(difference(&words("b a"), &words("a b")), [] as [&str; 0]);
    }

    proptest! {
        #[test]
        fn a_picture_does_not_differ_from_itself(lines: Vec<String>, more: String) {
            prop_assert!(difference(&lines, &lines).is_empty());
            let mut after = lines.clone();
            after.push(more.clone());
            prop_assert_eq!(difference(&lines, &after), [format!("+ {more}")]);
        }
    }
}
