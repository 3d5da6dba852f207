//! vznnc: a program whose input and output (or one descriptor) are a TCP connection of this
//! machine with itself: what migration runs at both ends of an ssh tunnel.

use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vz_core::error::OsText;
use vz_sys::clone::duplicate_to;

use crate::console::err;
use crate::options::{self, misused};

pub const USAGE: &str = "Usage: vznnc {-l|-c} -p PORT [-f FD] CMD [arg ...]\n";

/// The exit code for a connection that does not come about.
const NETWORK: u8 = 220;
/// The exit code for a program that cannot be executed.
const EXECUTE: u8 = 127;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    listens: bool,
    port: u16,
    /// The descriptor that becomes the connection; `None` for input and output.
    descriptor: Option<i32>,
    command: Vec<String>,
}

/// Runs the tool; comes back only when something is wrong.
pub fn run(words: &[String]) -> u8 {
    let request = match parse(words) {
        Ok(request) => request,
        Err(line) => return misused(&line, USAGE),
    };
    let failed = |what: &str, error: io::Error, code| {
        err(&format!("vznnc: {what}: {}", OsText::from(error)));
        code
    };
    let connection = match connect(&request) {
        Ok(connection) => connection,
        Err((what, error)) => return failed(what, error, NETWORK),
    };
    let numbers = request.descriptor.map_or(vec![0, 1], |number| vec![number]);
    for number in numbers {
        if let Err(error) = duplicate_to(connection.as_fd(), number) {
            return failed("dup2()", error, NETWORK);
        }
    }
    failed("execvp()", execute(&request.command), EXECUTE)
}

/// Takes the options apart. They end where the command begins: its own are not ours.
fn parse(words: &[String]) -> Result<Request, String> {
    let own = own_words(words);
    let options = options::parse("vznnc", "lcp:f:", &[], &words[..own])?;
    let last = |letter| {
        let mut values = options.options.iter().filter(|(given, _)| *given == letter);
        values.next_back().map(|(_, value)| value.as_str())
    };
    match (options.has('l'), options.has('c')) {
        (true, true) => return Err("vznnc: options -l and -c are exclusive".into()),
        (false, false) => return Err("vznnc: either -l or -c is required".into()),
        _ => {}
    }
    let port = last('p').ok_or("vznnc: option -p is required")?;
    let port = port.parse().map_err(|_| format!("vznnc: invalid port {port}"))?;
    let descriptor = |text: &str| {
        let number = text.parse().ok().filter(|number: &i32| *number >= 0);
        number.ok_or_else(|| format!("vznnc: invalid descriptor {text}"))
    };
    let descriptor = last('f').map(descriptor).transpose()?;
    let command = words[own..].to_vec();
    match command.is_empty() {
        true => Err(String::new()),
        false => Ok(Request { listens: options.has('l'), port, descriptor, command }),
    }
}

/// How many words come before the command.
fn own_words(words: &[String]) -> usize {
    let mut index = 0;
    while let Some(word) = words.get(index) {
        if word == "--" || !word.starts_with('-') || word == "-" {
            return index + usize::from(word == "--");
        }
        // `-p 5` and `-lp 5`, but not `-p5`.
        let takes_next =
            word.ends_with(['p', 'f']) && !word[1..word.len() - 1].contains(['p', 'f']);
        index += 1 + usize::from(takes_next);
    }
    index.min(words.len())
}

type Failure = (&'static str, io::Error);

fn connect(request: &Request) -> Result<TcpStream, Failure> {
    let address = (Ipv4Addr::LOCALHOST, request.port);
    if !request.listens {
        return TcpStream::connect(address).map_err(|error| ("connect()", error));
    }
    let listener = TcpListener::bind(address).map_err(|error| ("bind()", error))?;
    wait(&listener)?;
    listener.accept().map(|(stream, _)| stream).map_err(|error| ("accept()", error))
}

/// Waits for a connection, but not when input or output has gone: then the ssh that has started
/// this has ended, and nobody will connect.
fn wait(listener: &TcpListener) -> Result<(), Failure> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    // Both are there: the runtime has opened /dev/null for one that was closed.
    let mut polled = [
        PollFd::new(listener.as_fd(), PollFlags::POLLIN),
        PollFd::new(stdin.as_fd(), PollFlags::empty()),
        PollFd::new(stdout.as_fd(), PollFlags::empty()),
    ];
    loop {
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(("poll()", error.into())),
        }
        let has = |polled: &PollFd<'_>, flags| {
            polled.revents().is_some_and(|events| events.intersects(flags))
        };
        if polled.first().is_some_and(|listener| has(listener, PollFlags::POLLIN)) {
            return Ok(());
        }
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        if polled.iter().skip(1).any(|stream| has(stream, gone)) {
            return Err(("waiting for a connection", Errno::EPIPE.into()));
        }
    }
}

/// Executes the command; returns only when that failed.
fn execute(command: &[String]) -> io::Error {
    let Some((program, arguments)) = command.split_first() else {
        return Errno::ENOENT.into();
    };
    // A NUL cannot come from a command line, and no program has one in its name.
    if CString::new(program.as_str()).is_err() {
        return Errno::ENOENT.into();
    }
    Command::new(program).args(arguments).exec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Request, String> {
        super::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_end_at_the_command() {
        let request = parse("-l -p 5555 -f5 tar -xf -").unwrap();
        assert!(request.listens);
        assert_eq!((request.port, request.descriptor), (5555, Some(5)));
        assert_eq!(request.command, ["tar", "-xf", "-"]);
        for line in ["-cp 5 -- cat -n", "-c -p5 cat -n", "-p 5 -c cat -n"] {
            assert_eq!(parse(line).unwrap().command, ["cat", "-n"], "{line}");
        }
    }

    #[test]
    fn refused() {
        let cases = [
            ("", "vznnc: either -l or -c is required"),
            ("-l -c -p 1 x", "vznnc: options -l and -c are exclusive"),
            ("-l x", "vznnc: option -p is required"),
            ("-l -p 5555", ""),
            ("-l -p", "vznnc: option requires an argument -- 'p'"),
            ("-l -p 65536 x", "vznnc: invalid port 65536"),
            ("-l -p 1 -f -1 x", "vznnc: invalid descriptor -1"),
            ("-l -z -p 1 x", "vznnc: invalid option -- 'z'"),
        ];
        for (line, wanted) in cases {
            assert_eq!(parse(line).unwrap_err(), wanted, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_words(words in proptest::collection::vec("-?[-lcpfxé]{0,3}|[0-9]{1,6}", 0..6)) {
            let _ = super::parse(&words);
        }
    }
}
