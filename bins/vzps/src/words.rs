//! What ps(1) makes of its words, as far as it matters here: which output format, and whether they
//! select processes.

/// Letters with a value, with and without a dash.
const WITH_VALUE: (&str, &str) = ("CGNOUgnopqstu", "NOUkopqtW");
/// Letters that select processes.
const SELECTING: (&str, &str) = ("ACGNTUadegpqstu", "TUaegpqrtx");
/// Long options that do.
const SELECTING_LONG: [&str; 10] =
    ["user", "User", "group", "Group", "pid", "ppid", "quick-pid", "sid", "tty", "deselect"];
/// Long options whose value may be the next word, besides `--format`.
const LONG_WITH_VALUE: [&str; 15] = [
    "user",
    "User",
    "group",
    "Group",
    "pid",
    "ppid",
    "quick-pid",
    "sid",
    "tty",
    "sort",
    "cols",
    "columns",
    "width",
    "lines",
    "rows",
];

/// What was typed for ps.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The words, without columns that ps does not know.
    pub passed: Vec<String>,
    /// The columns are named one by one (`o`).
    pub has_columns: bool,
    /// Processes are selected.
    pub selects: bool,
}

/// Reads the words.
pub fn read(words: &[String]) -> Words {
    let mut read = Words::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').unwrap_or((long, ""));
            read.selects |= SELECTING_LONG.contains(&name);
            if name != "format" {
                read.passed.push(word.clone());
                if LONG_WITH_VALUE.contains(&long) {
                    read.passed.extend(words.next().cloned());
                }
                continue;
            }
            let next =
                if long.contains('=') { Some(value) } else { words.next().map(String::as_str) };
            read.push_columns("-o", next);
            continue;
        }
        let (letters, dash) = match word.strip_prefix('-') {
            Some(letters) => (letters, true),
            None => (word.as_str(), false),
        };
        let pick =
            |(with, without): (&'static str, &'static str)| if dash { with } else { without };
        let Some(at) = letters.find(|letter| pick(WITH_VALUE).contains(letter)) else {
            // A plain number is a process's id.
            let is_pid = letters.starts_with(|first: char| first.is_ascii_digit());
            read.selects |= is_pid || letters.contains(|letter| pick(SELECTING).contains(letter));
            read.passed.push(word.clone());
            continue;
        };
        let (before, from) = letters.split_at(at);
        let (letter, glued) = from.split_at(1);
        read.selects |= before.contains(|letter| pick(SELECTING).contains(letter));
        read.selects |= pick(SELECTING).contains(letter);
        let value = if glued.is_empty() { words.next().map(String::as_str) } else { Some(glued) };
        if letter == "o" {
            read.push_columns(&format!("{}{before}o", if dash { "-" } else { "" }), value);
        } else {
            read.passed.push(word.clone());
            read.passed.extend(value.filter(|_| glued.is_empty()).map(str::to_owned));
        }
    }
    read
}

impl Words {
    /// Adds a list of columns, less the one that always comes first.
    fn push_columns(&mut self, option: &str, columns: Option<&str>) {
        self.has_columns = true;
        let Some(columns) = columns else {
            self.passed.push(option.to_owned());
            return;
        };
        // Behind a `=` comes the header, to the end.
        let (list, header) = columns.split_at(columns.find('=').unwrap_or(columns.len()));
        let kept: Vec<&str> = list
            .split([',', ' '])
            .filter(|column| !matches!(*column, "ctid" | "veid" | "vpsid" | "envid"))
            .collect();
        // Something must stand there, and the id of the process always may.
        let kept = if kept.is_empty() { "pid".to_owned() } else { kept.join(",") };
        self.passed.extend([option.to_owned(), format!("{kept}{header}")]);
    }
}

#[cfg(test)]
mod tests {

    fn read(line: &str) -> (Vec<String>, bool, bool) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let read = super::read(&words);
        (read.passed, read.has_columns, read.selects)
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn as_ps_reads() {
        assert_eq!(read(""), (vec![], false, false));
        assert_eq!(read("-f"), (words("-f"), false, false));
        assert_eq!(read("aux"), (words("aux"), false, true));
        assert_eq!(read("-ef"), (words("-ef"), false, true));
        assert_eq!(read("u 17"), (words("u 17"), false, true));
        assert_eq!(read("-u root -l"), (words("-u root -l"), false, true));
        assert_eq!(read("--sort -rss -f"), (words("--sort -rss -f"), false, false));
        assert_eq!(read("axo ctid,pid,cmd"), (words("axo pid,cmd"), true, true));
        assert_eq!(read("-o veid"), (words("-o pid"), true, false));
        assert_eq!(
            read("--format=pid,args --no-headers"),
            (words("-o pid,args --no-headers"), true, false)
        );
        assert_eq!(read("-eocomm=NAME,x"), (words("-eo comm=NAME,x"), true, true));
        assert_eq!(read("-o"), (words("-o"), true, false));
    }
}
