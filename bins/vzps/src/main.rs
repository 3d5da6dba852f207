//! vzps: ps(1) with the container of each process.
//!
//! ps does all the work; its lines get a column. Whose a process is, its cgroup says, which the
//! container cannot change; nothing of a container's files is looked at.
#![forbid(unsafe_code)]

mod words;

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};

use vz_conf::ctid::Ctid;
use vz_core::accounting::column::{Column, take_container};
use vz_sys::pty;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vzps: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let prefix = std::env::var_os("VZ_SYSROOT").filter(|value| !value.is_empty());
    let prefix = prefix.map(std::path::PathBuf::from);
    let (container, others) = take_container(std::env::args_os().skip(1), prefix.as_deref())?;
    let typed: Vec<String> =
        others.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let words = words::read(&typed);
    let mut ps = Command::new("ps");
    let column = match words.has_columns {
        true => {
            ps.args(["-o", &format!("pid:{}=CTID", Column::WIDTH)]);
            Column::in_place_of_first(container)
        }
        false => Column::beside_pid(container),
    };
    ps.args(&words.passed);
    if container.is_some() && !words.selects {
        ps.arg("-A");
    }
    if let Some(columns) = columns(words.has_columns) {
        ps.env("COLUMNS", columns.to_string());
    }
    let mut child =
        ps.stdout(Stdio::piped()).spawn().map_err(|error| format!("Cannot execute ps: {error}"))?;
    let output = child.stdout.take().map(BufReader::new);
    let shown = output.map_or(Ok(0), |output| show(output, column));
    let status = child.wait().map_err(|error| format!("Cannot wait for ps: {error}"))?;
    let shown = shown.map_err(|error| format!("Cannot write to standard output: {error}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code_of(code, container, shown)))
}

/// As ps, whose code is 1 when there is no such process.
fn code_of(code: u8, container: Option<Ctid>, shown: usize) -> u8 {
    if code == 0 && container.is_some() && shown == 0 { 1 } else { code }
}

/// How wide ps's own lines may be on the admin's terminal.
fn columns(has_place: bool) -> Option<u16> {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| pty::window_size(stdout.as_fd()).ok())??;
    let ours = if has_place { 0 } else { Column::WIDTH as u16 + 1 };
    size.columns.checked_sub(ours).filter(|columns| *columns > 0)
}

/// Prints ps's lines and says how many were of processes. A reader that has gone wants no more.
fn show(mut output: impl BufRead, mut column: Column) -> io::Result<usize> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        if let Some(line) = column.line(line.trim_end_matches('\n')) {
            match writeln!(stdout, "{line}") {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(column.shown),
                written => written?,
            }
        }
        bytes.clear();
    }
    match stdout.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(column.shown),
    }
}
