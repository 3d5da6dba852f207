//! Grace times as they are typed, and what is left of one.

/// Seconds of a letter; a month has 30 days, a year 365.
const UNITS: [(char, i64); 5] =
    [('H', 3600), ('D', 86_400), ('W', 604_800), ('M', 2_592_000), ('Y', 31_536_000)];
/// Seconds, minutes, hours and days of `dd:hh:mm:ss`, from the end.
const FIELDS: [i64; 4] = [1, 60, 3600, 86_400];

/// Reads `SECONDS`, `[[dd:]hh:]mm:ss` whose fields but the first are in their range, or a number
/// and a letter: `7D`. `None` for anything else, and for what is beyond 64 bits.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t']);
    let last = text.chars().last()?;
    if !last.is_ascii_digit() {
        let unit = UNITS.iter().find(|(letter, _)| *letter == last.to_ascii_uppercase())?;
        return digits(text.strip_suffix(last)?)?.checked_mul(unit.1);
    }
    let fields: Vec<&str> = text.rsplit(':').collect();
    if fields.len() > FIELDS.len() {
        return None;
    }
    let mut seconds: i64 = 0;
    for (place, field) in fields.iter().enumerate() {
        let part = digits(field)?.checked_mul(FIELDS[place])?;
        // Seconds alone may be any number, as may days.
        if fields.len() > 1 && FIELDS.get(place + 1).is_some_and(|next| part >= *next) {
            return None;
        }
        seconds = seconds.checked_add(part)?;
    }
    Some(seconds)
}

fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A time in whole minutes: `hh:mm`, or days from one day on.
pub fn text(seconds: i64) -> String {
    let minutes = seconds.saturating_add(30) / 60;
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    if days > 0 { format!("{days}days") } else { format!("{hours:02}:{:02}", minutes % 60) }
}

/// What is left until `end`: nothing is said when there is no end, `none` when it has come.
pub fn left(end: i64, now: i64) -> String {
    match end {
        0 => String::new(),
        _ if end <= now => "none".into(),
        _ => text(end.saturating_sub(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_typed() {
        let cases = [
            ("10", 10),
            ("0", 0),
            ("100000", 100_000),
            ("1:30", 90),
            ("1:00:00", 3600),
            ("2:3:4:5", 183_845),
            ("99:00:00:00", 8_553_600),
            ("1h", 3600),
            ("7D", 604_800),
            ("2w", 1_209_600),
            ("1M", 2_592_000),
            ("1y", 31_536_000),
            (" 5", 5),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse(text), Some(seconds), "{text:?}");
        }
        let bad = [
            "",
            "x",
            "1x",
            "1:",
            ":1",
            "90:00",
            "25:00:00",
            "1:60:00",
            "1:2:3:4:5",
            "-1",
            "1:-2",
            "h",
            "1 h",
            "99999999999999999999",
            "9999999999999999y",
            " ",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_left() {
        assert_eq!(left(0, 100), "");
        assert_eq!(left(100, 100), "none");
        assert_eq!(left(700, 100), "00:10");
        assert_eq!(left(100 + 86_399, 100), "1days");
        assert_eq!(left(100 + 86_369, 100), "23:59");
        assert_eq!(left(i64::MAX, -5), "106751991167300days");
    }
}
