//! What vzps and vztop share: the option `-E`, and the CTID column of a table of processes.

use std::ffi::OsString;
use std::path::Path;

use vz_conf::ctid::Ctid;

use super::container_of;
use crate::names;
use crate::node::Node;

/// Takes `-E CTID` (a name will do) out of a command line; what is left is for ps or top. Of
/// several the last counts. The node's paths lie below `prefix`, if there is one.
///
/// # Errors
/// The line to say when the container is missing or there is none of that name.
pub fn take_container(
    arguments: impl Iterator<Item = OsString>,
    prefix: Option<&Path>,
) -> Result<(Option<Ctid>, Vec<OsString>), String> {
    let (mut container, mut others) = (None, Vec::new());
    let mut arguments = arguments;
    while let Some(word) = arguments.next() {
        let glued = word.to_str().and_then(|word| word.strip_prefix("-E")).map(str::to_owned);
        match glued {
            None => others.push(word),
            Some(id) if id.is_empty() => {
                let next = arguments.next().ok_or("option requires an argument -- 'E'")?;
                container = Some(find(&next.to_string_lossy(), prefix)?);
            }
            Some(id) => container = Some(find(&id, prefix)?),
        }
    }
    Ok((container, others))
}

/// The container that a word means.
fn find(word: &str, prefix: Option<&Path>) -> Result<Ctid, String> {
    let by_name = || names::find(&Node::load(prefix.map(Path::to_owned)).ok()?, word);
    word.parse().ok().or_else(by_name).ok_or_else(|| format!("CT ID {word} is invalid."))
}

/// Adds the CTID column to lines of a table, and leaves out what is another container's.
#[derive(Debug)]
pub struct Column {
    /// Only this container's processes.
    container: Option<Ctid>,
    /// Which word of a line is the process's id, once the header has been seen.
    index: Option<usize>,
    /// The id was put first on our account: the CTID takes its place.
    is_ours: bool,
    /// How many processes have been let through.
    pub shown: usize,
}

impl Column {
    /// The width of the column, as in vzlist.
    pub const WIDTH: usize = 10;

    /// For a table with a column `PID`.
    pub fn beside_pid(container: Option<Ctid>) -> Column {
        Column { container, index: None, is_ours: false, shown: 0 }
    }

    /// For a table whose first column is the process's id, under the header `CTID`.
    pub fn in_place_of_first(container: Option<Ctid>) -> Column {
        Column { container, index: Some(0), is_ours: true, shown: 0 }
    }

    /// A line with its CTID; `None` when it is not to be shown. A line that is none of a process
    /// is a header, which may come again.
    pub fn line(&mut self, line: &str) -> Option<String> {
        let words = || line.split_ascii_whitespace();
        if let Some(index) = words().position(|word| word == "PID").filter(|_| !self.is_ours) {
            self.index = Some(index);
            return Some(format!("{:>width$} {line}", "CTID", width = Self::WIDTH));
        }
        let pid = self.index.and_then(|index| words().nth(index)?.parse::<i32>().ok());
        let Some(pid) = pid else { return Some(line.to_owned()) };
        let owner = container_of(pid);
        if self.container.is_some() && owner != self.container {
            return None;
        }
        self.shown += 1;
        // One that has ended meanwhile is nobody's any more.
        let owner = owner.map_or_else(|| "-".to_owned(), |owner| owner.to_string());
        let rest = match self.is_ours {
            true => after_first_word(line),
            false => format!(" {line}"),
        };
        Some(format!("{owner:>width$}{rest}", width = Self::WIDTH))
    }

    /// Forgets the header: what follows is text until there is another.
    pub fn forget_header(&mut self) {
        self.index = None;
    }

    /// Says whether a header has been seen.
    pub fn is_in_table(&self) -> bool {
        self.index.is_some()
    }
}

fn after_first_word(line: &str) -> String {
    let line = line.trim_start();
    line[line.find(char::is_whitespace).unwrap_or(line.len())..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(line: &str) -> Result<(Option<Ctid>, Vec<OsString>), String> {
        take_container(line.split_whitespace().map(OsString::from), None)
    }

    #[test]
    fn the_option_is_taken_out() {
        let (container, others) = take("aux -E 101 -f").unwrap();
        assert_eq!((container, others.len()), (Ctid::new(101), 2));
        assert_eq!(take("-E0").unwrap().0, Some(Ctid::NODE));
        assert_eq!(take("-ef").unwrap().0, None);
        assert_eq!(take("aux -E").unwrap_err(), "option requires an argument -- 'E'");
        assert_eq!(take("-E no/name").unwrap_err(), "CT ID no/name is invalid.");
    }

    #[test]
    fn a_column_beside_the_pid() {
        let pid = std::process::id();
        let mut column = Column::beside_pid(Some(Ctid::NODE));
        assert_eq!(column.line("top - 1 user").unwrap(), "top - 1 user");
        assert_eq!(column.line("USER PID CMD").unwrap(), "      CTID USER PID CMD");
        let line = format!("root {pid} sh");
        assert_eq!(column.line(&line).unwrap(), format!("         0 {line}"));
        assert_eq!(column.shown, 1);
    }

    #[test]
    fn a_column_in_place_of_the_first() {
        let pid = std::process::id();
        let mut column = Column::in_place_of_first(None);
        assert_eq!(column.line("      CTID CMD").unwrap(), "      CTID CMD");
        assert_eq!(column.line(&format!("{pid:>10} PID")).unwrap(), "         0 PID");
        assert_eq!(column.line("2147483647 gone").unwrap(), "         - gone");
        let mut column = Column::in_place_of_first(Ctid::new(101));
        assert_eq!(column.line(&format!("{pid:>10} sh")), None);
        assert_eq!(column.shown, 0);
    }
}
