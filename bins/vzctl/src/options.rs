//! What each command takes, taken apart before anything is looked at.

use std::ffi::OsString;

use vz_conf::change::{Change, OptionName};
use vz_conf::exit::Exit;
use vz_conf::param::Commands;
use vz_conf::uuid::Uuid;
use vz_core::error::{Context, Error, Result};
use vz_core::lifecycle::checkpoint::Step;
use vz_core::lifecycle::{start, stop};
use vz_core::report::Report;

use crate::change::{self, SHORT, bad_value, no_others, texts, unknown_short, usage};
use crate::commands::{Command, Request};
use vzctl::getopt::{Found, LongOption, Scanner, Table};

/// The options of a command.
pub enum Options {
    /// It has none.
    None,
    /// `set`, `create`, `convert`.
    Change(Box<Change>),
    /// `start`, `stop`, `restart`.
    Life {
        /// Those of start.
        start: start::Options,
        /// Those of stop.
        stop: stop::Options,
    },
    /// `suspend`, `resume`.
    Checkpoint(Step),
    /// `snapshot` and its kin, but `snapshot-list`.
    Snapshot(SnapshotOptions),
    /// It looks at its words itself, when its turn comes.
    Words,
}

impl Options {
    /// Nobody is to see passwords in the list of processes. After the last exec, which passes on
    /// what is left of the words.
    ///
    /// # Errors
    /// When the words cannot be written over.
    pub fn cover_passwords(&self) -> Result<()> {
        let Options::Change(change) = self else { return Ok(()) };
        change
            .userpasswd
            .iter()
            .try_for_each(|word| vz_sys::arguments::cover(word.as_bytes()))
            .context(Exit::SystemError, || "Cannot cover the passwords typed".into())
    }
}

/// Takes the words after the CTID apart.
///
/// # Errors
/// The original's words and codes for the first that is wrong.
pub fn parse(
    command: Command,
    request: &Request<'_>,
    words: &[OsString],
    report: &mut dyn Report,
) -> Result<Options> {
    use Command as C;
    let mut parameters = |of| {
        let context = request.node.interface_context(request.id);
        change::parse(of, words, &context, report).map(|change| Options::Change(change.into()))
    };
    match command {
        C::Create => parameters(Commands::CREATE),
        C::Set => parameters(Commands::SET),
        C::Convert => parameters(Commands::CONVERT),
        C::Start | C::Stop | C::Restart => parse_life(command, words),
        C::Suspend => parse_checkpoint(&CHECKPOINT, words),
        C::Resume => parse_checkpoint(&RESTORE, words),
        C::Snapshot(snapshot) => parse_snapshot(snapshot, words),
        C::Exec | C::Exec2 | C::Exec3 => {
            require(!words.is_empty(), "No command line given for exec")
        }
        C::Runscript => require(!words.is_empty(), "Script not specified"),
        C::Enter => parse_enter(words),
        C::Console | C::SnapshotList => Ok(Options::Words),
        _ if words.is_empty() => Ok(Options::None),
        _ => {
            let words: String =
                words.iter().map(|word| format!("{} ", word.to_string_lossy())).collect();
            wrong(&format!("Invalid options: {words}"))
        }
    }
}

/// Says what is wrong with the words: whatever --quiet says, as ever.
fn wrong<T>(line: &str) -> Result<T> {
    eprintln!("{line}");
    Err(Error::Reported(Exit::InvalidSyntax))
}

fn require(condition: bool, line: &str) -> Result<Options> {
    if condition { Ok(Options::Words) } else { wrong(line) }
}

fn parse_enter(words: &[OsString]) -> Result<Options> {
    match words {
        [] => Ok(Options::Words),
        [option, rest @ ..] if option == "--exec" => require(
            rest.first().is_some_and(|word| !word.is_empty()),
            "No command line given for --exec",
        ),
        [option, ..] => wrong(&format!("Invalid option '{}'", option.to_string_lossy())),
    }
}

const fn flag(long: &'static str, meaning: usize) -> LongOption {
    LongOption { long, takes_value: false, meaning }
}

const fn value(long: &'static str, meaning: usize) -> LongOption {
    LongOption { long, takes_value: true, meaning }
}

/// Options of `start` and `stop`; `restart` takes those of both.
const LIFE: [LongOption; 7] = [
    flag("force", 0),
    flag("skip_ve_setup", 1),
    flag("wait", 2),
    flag("fast", 3),
    flag("skip-umount", 4),
    flag("skip-fsck", 5),
    flag("skip-remount", 6),
];

fn parse_life(command: Command, words: &[OsString]) -> Result<Options> {
    let mut scanner =
        Scanner::new(Table { program: "vzctl", long: &LIFE, short: "" }, texts(words)?);
    let (mut start, mut stop) = (start::Options::default(), stop::Options::default());
    let mut is_wrong = false;
    for found in scanner.by_ref() {
        let option = match found {
            Ok(Found::Long(index, _)) => LIFE[index].long,
            Ok(Found::Short(..)) => continue,
            // Here getopt is heard to the end.
            Err(line) => {
                eprintln!("{line}");
                is_wrong = true;
                continue;
            }
        };
        let of_stop = matches!(option, "fast" | "skip-umount");
        let name = if command == Command::Stop { "stop" } else { "start" };
        if command != Command::Restart && of_stop != (command == Command::Stop) {
            return wrong(&format!("Option --{option} is not applicable to {name} command"));
        }
        match option {
            "force" => start.force = true,
            "skip_ve_setup" => start.skip_setup = true,
            "wait" => start.wait = true,
            "fast" => stop.fast = true,
            "skip-umount" => stop.skip_umount = true,
            "skip-fsck" => start.skip_fsck = true,
            _ => start.skip_remount = true,
        }
    }
    no_others(scanner.others())?;
    match is_wrong {
        true => Err(Error::Reported(Exit::InvalidSyntax)),
        false => Ok(Options::Life { start, stop }),
    }
}

const CHECKPOINT: [LongOption; 8] = [
    flag("dump", 0),
    flag("suspend", 1),
    flag("resume", 2),
    flag("kill", 3),
    flag("skip_arpdetect", 4),
    value("flags", 5),
    value("context", 6),
    value("dumpfile", 7),
];

const RESTORE: [LongOption; 9] = [
    flag("undump", 0),
    flag("kill", 1),
    flag("resume", 2),
    value("dumpfile", 3),
    value("flags", 4),
    value("context", 5),
    flag("skip_arpdetect", 6),
    flag("skip-remount", 7),
    flag("skip-fsck", 8),
];

/// Options of `suspend` and `resume`: one sub-command of theirs, and where the dump lies.
fn parse_checkpoint(table: &[LongOption], words: &[OsString]) -> Result<Options> {
    let mut scanner =
        Scanner::new(Table { program: "vzctl", long: table, short: "" }, texts(words)?);
    let mut step = Step::Whole;
    for found in scanner.by_ref() {
        let Found::Long(index, _) = found.map_err(|line| {
            usage(&line);
            Error::Reported(Exit::InvalidSyntax)
        })?
        else {
            continue;
        };
        let asked = match table[index].long {
            "dump" => Step::Dump,
            "suspend" => Step::Suspend,
            "undump" => Step::Undump,
            "resume" => Step::Resume,
            "kill" => Step::Kill,
            _ => continue,
        };
        if step != Step::Whole {
            return Err(Error::Refused(
                Exit::InvalidSyntax,
                "Invalid syntax: only one sub command may be used".into(),
            ));
        }
        step = asked;
    }
    no_others(scanner.others())?;
    Ok(Options::Checkpoint(step))
}

/// A snapshot command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// `snapshot`
    Create,
    /// `snapshot-delete`
    Delete,
    /// `snapshot-switch`
    Switch,
    /// `snapshot-mount`
    Mount,
    /// `snapshot-umount`
    Umount,
}

impl Snapshot {
    /// The options besides `--id`.
    fn options(self) -> &'static [LongOption] {
        const ID: [LongOption; 2] = [value("id", 0), value("uuid", 0)];
        const CREATE: [LongOption; 6] = [
            ID[0],
            ID[1],
            value("name", 1),
            value("description", 2),
            flag("skip-suspend", 3),
            flag("skip-config", 4),
        ];
        const SWITCH: [LongOption; 6] = [
            ID[0],
            ID[1],
            flag("skip_arpdetect", 1),
            flag("skip-resume", 2),
            flag("skip-config", 3),
            flag("must-resume", 4),
        ];
        const MOUNT: [LongOption; 3] = [ID[0], ID[1], value("target", 1)];
        match self {
            Snapshot::Create => &CREATE,
            Snapshot::Delete | Snapshot::Umount => &ID,
            Snapshot::Switch => &SWITCH,
            Snapshot::Mount => &MOUNT,
        }
    }
}

/// What was given to a snapshot command; of an option that was given twice, the first.
#[derive(Debug, Default)]
pub struct SnapshotOptions {
    /// `--id`
    pub id: Option<Uuid>,
    given: Vec<(&'static str, String)>,
}

impl SnapshotOptions {
    /// The option was given.
    pub fn has(&self, option: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == option)
    }

    /// What was given to the option; empty when it was not given.
    pub fn value(&self, option: &str) -> &str {
        let found = self.given.iter().find(|(given, _)| *given == option);
        found.map_or("", |(_, value)| value)
    }

    /// Notes one option of the table.
    fn take(&mut self, option: &'static str, value: String) -> Result<()> {
        if !matches!(option, "id" | "uuid") {
            self.given.push((option, value));
            return Ok(());
        }
        let id = value.parse().map_err(|_| bad_value(OptionName::Long(option), &value))?;
        self.id.get_or_insert(id);
        Ok(())
    }

    /// What a command cannot do without, and what it cannot do together.
    fn check(&self, command: Snapshot) -> Result<()> {
        let text = match command {
            Snapshot::Create if self.id.is_none() => return Ok(()),
            _ if self.id.is_none() => "snapshot id is missing",
            Snapshot::Mount if !self.has("target") => "mount target is missing",
            _ if self.has("skip-resume") && self.has("must-resume") => {
                "--skip-resume and --must-resume can not be used together"
            }
            _ => return Ok(()),
        };
        Err(Error::Refused(Exit::InvalidSyntax, format!("Invalid syntax: {text}")))
    }
}

fn parse_snapshot(command: Snapshot, words: &[OsString]) -> Result<Options> {
    let table = command.options();
    let mut scanner =
        Scanner::new(Table { program: "vzctl", long: table, short: SHORT }, texts(words)?);
    let mut options = SnapshotOptions::default();
    for found in scanner.by_ref() {
        match found.map_err(|line| usage(&line))? {
            Found::Long(index, value) => {
                options.take(table[index].long, value.unwrap_or_default())?;
            }
            // Beancounters are no parameters of a snapshot; their letters were taken all the same.
            Found::Short(letter, value) if "ah".contains(letter) => {
                return Err(unknown_short(letter, &value.unwrap_or_default()));
            }
            Found::Short(..) => {}
        }
    }
    no_others(scanner.others())?;
    options.check(command)?;
    Ok(Options::Snapshot(options))
}
