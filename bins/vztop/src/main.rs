//! vztop: top(1) with the container of each process.
//!
//! top does the work, in batch mode; its lines get a column, and on a terminal a screenful of them
//! is drawn, again and again. So top's own keys are not there, but those that sort (`P M T N`) and
//! `q`; a container cannot reach anything through them.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitCode, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use vz_conf::ctid::Ctid;
use vz_core::accounting::column::{Column, take_container};
use vz_sys::pty::{self, RawMode};

/// Keys, and what top sorts by after them.
const SORTS: [(u8, &str); 4] = [(b'P', "%CPU"), (b'M', "%MEM"), (b'T', "TIME+"), (b'N', "PID")];
/// How many milliseconds top pauses between frames and never within one.
const MOMENT: u8 = 50;
/// How wide lines are where there is no window.
const WIDE: usize = 512;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vztop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let prefix = std::env::var_os("VZ_SYSROOT").filter(|value| !value.is_empty());
    let prefix = prefix.map(std::path::PathBuf::from);
    let (container, words) = take_container(std::env::args_os().skip(1), prefix.as_deref())?;
    let stdout = io::stdout();
    let is_batch = words.iter().filter_map(|word| word.to_str()).any(asks_for_batch);
    let code = match stdout.is_terminal() && !is_batch {
        true => interact(container, &words),
        false => pass(container, &words),
    };
    code.map_err(|error| format!("Cannot show what top says: {error}"))
}

/// `-b`, also among other letters; or `-h`, `-v`, after which there is nothing to draw.
fn asks_for_batch(word: &str) -> bool {
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    let flags = |letters: &str| {
        letters.chars().take_while(|l| "bcHiSs1hvVO".contains(*l)).any(|l| "bhvVO".contains(l))
    };
    letters.is_some_and(flags)
        || ["--batch-mode", "--help", "--version", "--list-fields"].contains(&word)
}

fn start(words: &[OsString], sort: Option<&str>, width: Option<usize>) -> io::Result<Child> {
    let mut top = Command::new("top");
    top.arg("-b").args(words);
    if let Some(sort) = sort {
        top.args(["-o", sort]);
    }
    let width = width.unwrap_or(WIDE).saturating_sub(Column::WIDTH + 1).max(1);
    top.args(["-w", &width.to_string()]);
    top.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()
}

/// Passes on what top says, with the column.
fn pass(container: Option<Ctid>, words: &[OsString]) -> io::Result<ExitCode> {
    let mut top = start(words, None, None)?;
    let mut frames = Frames::of(container, &mut top)?;
    let mut stdout = io::stdout().lock();
    while let Some(line) = frames.next_line()? {
        match writeln!(stdout, "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                let _ = top.kill();
                break;
            }
            written => written?,
        }
    }
    let code = top.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// top's lines with the column. A blank line parts the summary from the table, and tables.
struct Frames {
    lines: BufReader<std::process::ChildStdout>,
    column: Column,
}

impl Frames {
    fn of(container: Option<Ctid>, top: &mut Child) -> io::Result<Frames> {
        let output = top.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Frames { lines: BufReader::new(output), column: Column::beside_pid(container) })
    }

    fn next_line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        while self.lines.read_until(b'\n', &mut bytes)? > 0 {
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end_matches('\n');
            // Only behind a blank line is there a summary again.
            if line.trim().is_empty() && self.column.is_in_table() {
                self.column.forget_header();
            }
            if let Some(line) = self.column.line(line) {
                return Ok(Some(line));
            }
            bytes.clear();
        }
        Ok(None)
    }
}

/// What the admin wants next.
enum Wish {
    Leave,
    Sort(&'static str),
    Redraw,
}

/// Draws one frame after the other until the admin leaves.
fn interact(container: Option<Ctid>, words: &[OsString]) -> io::Result<ExitCode> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        signals.add(signal);
    }
    let stdin = io::stdin();
    let mut sort = None;
    loop {
        let width = pty::window_size(io::stdout().as_fd()).ok().map(|size| size.columns.into());
        // Before signals are blocked: top must get them.
        let mut top = start(words, sort, width)?;
        signals.thread_block()?;
        let ended = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let raw = RawMode::enter(stdin.as_fd()).ok();
        let wish = draw(container, &mut top, &ended);
        drop(raw);
        let _ = top.kill();
        let status = top.wait()?;
        signals.thread_unblock()?;
        match wish? {
            Some(Wish::Sort(by)) => sort = Some(by),
            Some(Wish::Redraw) => {}
            Some(Wish::Leave) => return Ok(ExitCode::SUCCESS),
            // top has ended: it was told how often, or has complained.
            None => {
                return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        }
    }
}

fn draw(container: Option<Ctid>, top: &mut Child, ended: &SignalFd) -> io::Result<Option<Wish>> {
    let mut frames = Frames::of(container, top)?;
    let mut screen: Vec<String> = Vec::new();
    let mut was_in_table = false;
    loop {
        if frames.lines.buffer().is_empty()
            && let Some(wish) = wait(&frames, ended, &screen)?
        {
            return Ok(Some(wish));
        }
        let Some(line) = frames.next_line()? else {
            show(&screen)?;
            return Ok(None);
        };
        let is_in_table = frames.column.is_in_table();
        if was_in_table && !is_in_table {
            screen.clear();
        } else {
            screen.push(line);
        }
        was_in_table = is_in_table;
    }
}

/// Waits for more of top's, or for a wish. When nothing has come for a moment, the frame is whole.
fn wait(frames: &Frames, ended: &SignalFd, screen: &[String]) -> io::Result<Option<Wish>> {
    let mut timeout = PollTimeout::from(MOMENT);
    let stdin = io::stdin();
    let output = frames.lines.get_ref();
    loop {
        let mut descriptors = [
            PollFd::new(output.as_fd(), PollFlags::POLLIN),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut descriptors, timeout) {
            Err(nix::errno::Errno::EINTR) => continue,
            Ok(0) => {
                show(screen)?;
                timeout = PollTimeout::NONE;
                continue;
            }
            result => result?,
        };
        let is_ready = |slot: usize| descriptors[slot].any() == Some(true);
        if is_ready(1) {
            return Ok(Some(Wish::Leave));
        }
        if is_ready(2) {
            let mut key = [0];
            match nix::unistd::read(stdin.as_fd(), &mut key)? {
                0 => return Ok(Some(Wish::Leave)),
                // Raw mode sends Ctrl-C as a byte.
                _ if matches!(key[0], b'q' | 3) => return Ok(Some(Wish::Leave)),
                _ if key[0] == b' ' => return Ok(Some(Wish::Redraw)),
                _ => {}
            }
            if let Some((_, by)) = SORTS.iter().find(|(sort, _)| *sort == key[0]) {
                return Ok(Some(Wish::Sort(by)));
            }
        }
        if is_ready(0) {
            return Ok(None);
        }
    }
}

/// Draws as much as the window holds.
fn show(screen: &[String]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let size = pty::window_size(stdout.as_fd())?;
    let (rows, columns) = (usize::from(size.rows.max(2)), usize::from(size.columns.max(1)));
    // Home, and clear what is left of each line and of the screen (ECMA-48 CUP, EL, ED).
    let mut text = String::from("\x1b[H");
    for (number, line) in screen.iter().take(rows).enumerate() {
        text.push_str(if number > 0 { "\r\n" } else { "" });
        text.extend(line.chars().filter(|c| !c.is_control()).take(columns));
        text.push_str("\x1b[K");
    }
    text.push_str("\x1b[J");
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_screen() {
        for word in ["-b", "-cb", "-bn1", "--batch-mode", "-h", "-v", "--help"] {
            assert!(asks_for_batch(word), "{word}");
        }
        for word in ["-c", "-d", "-ub", "-p1", "b", "--sort-override=b"] {
            assert!(!asks_for_batch(word), "{word}");
        }
    }
}
