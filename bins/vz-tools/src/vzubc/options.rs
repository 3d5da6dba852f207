//! The command line.

/// Said by [`super::watch`] to the process that runs under it: do not do so again.
pub const INSIDE_WATCH: &str = "-W";

/// How to use the tool.
pub const USAGE: &str = "\
Usage: vzubc [option ...] [<ctid> ...]

 -w, --watch:
     Run under watch(1), again and again until Ctrl-C.
     -wd: mark what has changed
     -wt: without watch's title
     -wn <time>: every <time> seconds
 -q, --quiet:
     Only what has failed or is close to its limit.
     -qh <ratio>: what counts as close for held (default: 0.5)
     -qm <ratio>: what counts as close for maxheld (default: 0.8)
 -v, --verbose:
     Also what is not limited.
 -r, --relative:
     Failures since the run before, instead of all.
     -rc: forget the failures of runs before
     -rd <dir>: keep them in <dir> (default: /tmp/vzubc.store)
 -i, --incremental:
     One more column: how held has changed since the run before. With -q, what has changed is
     shown, too.
     -ic: forget what was held in runs before
     -id <dir>: the same as -rd
 -c, --color:
     Colours, by the ratios of --quiet. Not together with --watch.
 -f, --file <file>:
     Read beancounters from <file>, in the form of /proc/user_beancounters; - is standard input.

 <ctid>: only this container, an id or a name (may be given more than once)
";

/// What the command line asks for.
#[derive(Debug)]
pub enum Action {
    /// To say how the tool is used.
    Help,
    /// To show beancounters.
    Show(Box<Options>),
}

/// How to show them.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Under watch(1).
    pub watch: bool,
    /// What watch is told.
    pub watch_arguments: Vec<String>,
    /// Only what is important.
    pub quiet: bool,
    /// Also what is unlimited.
    pub verbose: bool,
    /// From which part of the barrier on held is important.
    pub held_ratio: f64,
    /// The same for maxheld.
    pub maxheld_ratio: f64,
    /// Failures since the run before.
    pub relative: bool,
    /// What held has changed by since then.
    pub incremental: bool,
    /// Forget the failures kept.
    pub clear_failures: bool,
    /// Forget what held was.
    pub clear_held: bool,
    /// Where they are kept.
    pub store: String,
    /// In colours.
    pub color: bool,
    /// Read from this file.
    pub file: Option<String>,
    /// Only these.
    pub containers: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            watch: false,
            watch_arguments: Vec::new(),
            quiet: false,
            verbose: false,
            held_ratio: 0.5,
            maxheld_ratio: 0.8,
            relative: false,
            incremental: false,
            clear_failures: false,
            clear_held: false,
            store: "/tmp/vzubc.store".to_owned(),
            color: false,
            file: None,
            containers: Vec::new(),
        }
    }
}

/// Reads the words behind the program's name.
///
/// # Errors
/// What is wrong with them, a line.
pub fn parse(words: &[String]) -> Result<Action, String> {
    let mut options = Options::default();
    let mut inside_watch = false;
    let mut ratios = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut argument = || match words.next() {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            _ => Err(format!("Error: option {word} requires an argument")),
        };
        match word.as_str() {
            INSIDE_WATCH => inside_watch = true,
            "-w" | "--watch" => options.watch = true,
            "-wd" | "-wt" => {
                options.watch = true;
                options.watch_arguments.push(word.replacen('w', "", 1));
            }
            "-wn" => {
                options.watch = true;
                options.watch_arguments.extend(["-n".to_owned(), argument()?]);
            }
            "-q" | "--quiet" => options.quiet = true,
            "-qh" => (options.held_ratio, ratios) = (ratio(word, &argument()?)?, true),
            "-qm" => (options.maxheld_ratio, ratios) = (ratio(word, &argument()?)?, true),
            "-v" | "--verbose" => options.verbose = true,
            "-r" | "--relative" => options.relative = true,
            "-rc" => options.clear_failures = true,
            "-rd" | "-id" => options.store = argument()?,
            "-i" | "--incremental" => options.incremental = true,
            "-ic" => options.clear_held = true,
            "-c" | "--color" => options.color = true,
            "-h" | "--help" => return Ok(Action::Help),
            "-f" | "--file" => options.file = Some(argument()?),
            other if other.starts_with('-') => return Err(format!("Unrecognized option: {other}")),
            other => options.containers.push(other.to_owned()),
        }
    }
    options.watch &= !inside_watch;
    check(&options, ratios)?;
    // No more of held than of maxheld is needed to be important.
    options.held_ratio = options.held_ratio.min(options.maxheld_ratio);
    Ok(Action::Show(Box::new(options)))
}

fn check(options: &Options, ratios: bool) -> Result<(), String> {
    let together = |text: &str| Err(format!("Error: {text}"));
    if options.watch && options.color {
        return together("can't use --watch and --color together");
    }
    if ratios && !options.color && !options.quiet {
        return together("-qh and -qm only make sense with --quiet or --color");
    }
    if options.quiet && options.verbose {
        return together("options --quiet and --verbose can't be used together");
    }
    Ok(())
}

/// A part of 1, or percent when it is more.
fn ratio(option: &str, text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => {
            Ok(if value > 1.0 { value / 100.0 } else { value })
        }
        _ => Err(format!("Error: option {option} requires a number, not {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(line: &str) -> Result<Options, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match parse(&words)? {
            Action::Show(options) => Ok(*options),
            Action::Help => Err("help".into()),
        }
    }

    #[test]
    fn words() {
        let options = show("-q -qh 10 101 -wn 5 -wd web").unwrap();
        assert_eq!((options.held_ratio, options.maxheld_ratio), (0.1, 0.8));
        assert_eq!(options.containers, ["101", "web"]);
        assert_eq!(options.watch_arguments, ["-n", "5", "-d"]);
        assert!(options.watch && options.quiet);
        assert!(!show("-w -q 101 -W").unwrap().watch);
        assert_eq!(show("-c -qm 0.2").unwrap().held_ratio, 0.2);
        assert_eq!(show("--file - -id /x").unwrap().file.as_deref(), Some("-"));
        assert!(show("-w -c -W").is_ok());
    }

    #[test]
    fn refused() {
        for (line, said) in [
            ("-Z", "Unrecognized option: -Z"),
            ("-f", "Error: option -f requires an argument"),
            ("-q -qh x", "Error: option -qh requires a number, not x"),
            ("-q -qh nan", "Error: option -qh requires a number, not nan"),
            ("-qm 1", "Error: -qh and -qm only make sense with --quiet or --color"),
            ("-w -c", "Error: can't use --watch and --color together"),
            ("-q -v", "Error: options --quiet and --verbose can't be used together"),
            ("-Z -h", "Unrecognized option: -Z"),
        ] {
            assert_eq!(show(line).unwrap_err(), said, "{line}");
        }
    }
}
