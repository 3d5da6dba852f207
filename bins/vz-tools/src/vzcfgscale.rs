//! vzcfgscale: a configuration whose limits are multiplied by a factor.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use vz_conf::file::ConfFile;
use vz_conf::getopt::LongOption;
use vz_conf::yesno::YesNo;
use vz_core::judge::scale::Factor;
use vz_core::judge::validate::{self, Judgement, Limits};

use crate::console::{err, out};
use crate::options::{self, misused};
use crate::place::Place;
use crate::vzcfgvalidate::{Subject, limits_of, save};

pub const USAGE: &str = "\
Usage: vzcfgscale [options] <configfile>
  -o, --output-file FILE       write to FILE, and what it was to FILE.bak
                               (without: to standard output)
  -a, --all FACTOR             scale all of the following
  -c, --cpu-only FACTOR        scale CPUUNITS
  -d, --disk-only FACTOR       scale the disk quota
  -u, --ubc-only FACTOR        scale the beancounters
  -n, --network-only FACTOR    scale RATE, the network bandwidth
  -v, --validate               fail if what comes out is not valid
  -r, --remove                 leave out what is one container's own
  -h, --help                   show this text
";

const LONG: [LongOption; 9] = [
    long("output-file", true, 'o'),
    long("all", true, 'a'),
    long("cpu-only", true, 'c'),
    long("disk-only", true, 'd'),
    long("ubc-only", true, 'u'),
    long("network-only", true, 'n'),
    long("validate", false, 'v'),
    long("remove", false, 'r'),
    long("help", false, 'h'),
];

/// Keys of one container alone: a sample must not have them.
const OWN: [&str; 17] = [
    "VEID",
    "NAME",
    "HOSTNAME",
    "DESCRIPTION",
    "NAMESERVER",
    "SEARCHDOMAIN",
    "IP_ADDRESS",
    "NETIF",
    "NETDEV",
    "VE_ROOT",
    "VE_PRIVATE",
    "LOCAL_UID",
    "LOCAL_GID",
    "OSTEMPLATE",
    "TEMPLATES",
    "ORIGIN_SAMPLE",
    "UUID",
];

const fn long(long: &'static str, takes_value: bool, letter: char) -> LongOption {
    LongOption { long, takes_value, meaning: letter as usize }
}

/// What is asked for; a factor that is not given leaves its part as it is.
#[derive(Debug, Default)]
struct Request {
    output: Option<String>,
    cpu: Option<Factor>,
    disk: Option<Factor>,
    ubc: Option<Factor>,
    network: Option<Factor>,
    validate: bool,
    remove: bool,
}

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let words = match options::parse("vzcfgscale", "o:a:c:d:u:n:hrv", &LONG, words) {
        Ok(words) => words,
        Err(line) => {
            err(&line);
            return 1;
        }
    };
    if words.has('h') {
        out(USAGE);
        return 0;
    }
    let done = request(&words.options).and_then(|request| match &words.others[..] {
        [] => Ok(misused("", USAGE)),
        [file] => scale(&mut Place::of_environment(), &request, file).map(|()| 0),
        others => Err(format!("non-option ARGV-elements: {}", others.join(" "))),
    });
    done.unwrap_or_else(|line| {
        err(&line);
        1
    })
}

fn request(options: &[(char, String)]) -> Result<Request, String> {
    let mut request = Request::default();
    let mut all = None;
    for (letter, value) in options {
        let factor = || Factor::parse(value).ok_or_else(|| format!("Bad parameter {value}"));
        match letter {
            'o' => request.output = Some(value.clone()),
            'a' => all = Some(factor()?),
            'c' => request.cpu = Some(factor()?),
            'd' => request.disk = Some(factor()?),
            'u' => request.ubc = Some(factor()?),
            'n' => request.network = Some(factor()?),
            'v' => request.validate = true,
            'r' => request.remove = true,
            _ => {}
        }
    }
    let over = |own: Option<Factor>| all.or(own);
    let Request { cpu, disk, ubc, network, .. } = request;
    let (cpu, disk, ubc, network) = (over(cpu), over(disk), over(ubc), over(network));
    Ok(Request { cpu, disk, ubc, network, ..request })
}

fn scale(place: &mut Place, request: &Request, word: &str) -> Result<(), String> {
    let path = place.file(word);
    let output = request.output.as_deref().map(|output| place.file(output));
    check_places(&path, word, output.as_deref(), request.output.as_deref())?;
    let subject = Subject::read(place, word)?;
    let limits = scaled(&limits_of(&subject.config), request);
    if request.validate {
        check_limits(place, &subject, &limits)?;
    }
    let mut file = subject.with(&limits)?;
    store(&mut file, &subject, request)?;
    if request.remove {
        OWN.iter().for_each(|key| {
            file.remove(key);
        });
    }
    match (&output, &request.output) {
        (Some(path), Some(shown)) => replace(&file, path, shown)?,
        _ => out(&String::from_utf8_lossy(&file.to_bytes())),
    }
    err("Scale completed: success");
    Ok(())
}

fn check_places(
    input: &Path,
    shown: &str,
    output: Option<&Path>,
    shown_output: Option<&str>,
) -> Result<(), String> {
    if output.is_some_and(Path::is_dir) {
        let output = shown_output.unwrap_or_default();
        return Err(format!("Error: output file {output} is directory"));
    }
    match fs::metadata(input) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("No such file {shown}"))
        }
        _ => Ok(()),
    }
}

fn scaled(limits: &Limits, request: &Request) -> Limits {
    let ubc = request.ubc.map_or(limits.ubc, |factor| factor.of_beancounters(&limits.ubc));
    let disk = |value| match request.disk {
        Some(factor) => Option::map(value, |value| factor.of_disk(value)),
        None => value,
    };
    Limits { ubc, diskspace: disk(limits.diskspace), diskinodes: disk(limits.diskinodes) }
}

/// Says what is the matter with the limits; an error when something is.
fn check_limits(place: &mut Place, subject: &Subject, limits: &Limits) -> Result<(), String> {
    // Without a vz.conf there is no disk quota to check.
    let _ = place.node.read_config();
    let quota = subject.config.disk_quota.or(place.node.config.disk_quota);
    let by = match limits.ubc.is_vswap() {
        true => Judgement::Vswap(
            vz_core::judge::capacity::Capacity::read(place.proc())
                .map_err(|error| error.to_string())?,
        ),
        false => Judgement::Classic { disk: quota == Some(YesNo::Yes) },
    };
    let found = validate::findings(limits, by);
    for finding in &found {
        err(&format!("{}: {}", finding.severity, finding.text));
    }
    match found.iter().any(|finding| finding.severity > validate::Severity::Recommendation) {
        true => Err("Scaled parameters are not valid".into()),
        false => Ok(()),
    }
}

/// Writes what is no barrier and limit.
fn store(file: &mut ConfFile, subject: &Subject, request: &Request) -> Result<(), String> {
    let units = request.cpu.zip(subject.config.cpuunits);
    if let Some((factor, units)) = units {
        set(file, "CPUUNITS", &factor.of_cpuunits(units).to_string())?;
    }
    if let (Some(factor), Some(rates)) = (request.network, file.get("RATE")) {
        set(file, "RATE", &scaled_rates(&rates, factor))?;
    }
    Ok(())
}

fn set(file: &mut ConfFile, key: &str, value: &str) -> Result<(), String> {
    file.set_only(key, value).map_err(|error| format!("Unable to store {key}: {error}"))
}

/// RATE is `DEVICE:CLASS:KBITS`, once or more; what is of another form stays.
fn scaled_rates(text: &str, factor: Factor) -> String {
    let rate = |word: &str| {
        let (head, rate) = word.rsplit_once(':')?;
        Some(format!("{head}:{}", factor.of(rate.parse().ok()?)))
    };
    let words = text.split_ascii_whitespace();
    words.map(|word| rate(word).unwrap_or(word.to_owned())).collect::<Vec<_>>().join(" ")
}

/// Writes the file; what was there before is kept beside it.
fn replace(file: &ConfFile, path: &Path, shown: &str) -> Result<(), String> {
    match fs::read(path) {
        Ok(old) => {
            let name = |path: OsString| -> PathBuf {
                [path, ".bak".into()].into_iter().collect::<OsString>().into()
            };
            save(&ConfFile::parse(&old), &name(path.as_os_str().to_owned()), &name(shown.into()))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("Unable to open {shown}: {error}")),
    }
    save(file, path, Path::new(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let half = Factor::parse("0.5").unwrap();
        assert_eq!(scaled_rates("eth0:1:64  *:2:7", half), "eth0:1:32 *:2:3");
        assert_eq!(scaled_rates("x eth0:y", half), "x eth0:y");
    }

    #[test]
    fn all_comes_before_one() {
        let options = [('a', "2".to_owned()), ('c', "3".to_owned())];
        let request = request(&options).unwrap();
        assert_eq!((request.cpu, request.ubc), (Factor::parse("2"), Factor::parse("2")));
        assert_eq!(super::request(&[('a', "x".into())]).unwrap_err(), "Bad parameter x");
    }
}
