use super::*;
use crate::mount::{Place, attach};
use std::path::{Path, PathBuf};

/// `/file` counts how often it is read; `/directory/deep` is long.
#[derive(Default)]
struct Few {
    reads: u32,
}

const FILE: Node = Node { number: 2, is_directory: false, mode: 0o400, lasts: 0 };
const DIRECTORY: Node = Node { number: 3, is_directory: true, mode: 0o500, lasts: 60 };
const DEEP: Node = Node { number: 4, is_directory: false, mode: 0o444, lasts: 0 };

fn deep() -> Vec<u8> {
    (0..50_000_u32).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

impl Tree for Few {
    fn find(&mut self, directory: u64, name: &OsStr) -> Option<Node> {
        self.list(directory)
            .into_iter()
            .find(|(other, _)| name == other.as_str())
            .map(|(_, node)| node)
    }

    fn node(&mut self, number: u64) -> Option<Node> {
        let root = Node { number: ROOT, is_directory: true, mode: 0o555, lasts: 60 };
        [root, FILE, DIRECTORY, DEEP].into_iter().find(|node| node.number == number)
    }

    fn list(&mut self, directory: u64) -> Vec<(String, Node)> {
        match directory {
            ROOT => vec![("file".into(), FILE), ("directory".into(), DIRECTORY)],
            3 => vec![("deep".into(), DEEP)],
            _ => Vec::new(),
        }
    }

    fn read(&mut self, file: u64) -> io::Result<Vec<u8>> {
        self.reads += 1;
        match file {
            2 => Ok(format!("read {} times\n", self.reads).into_bytes()),
            _ => Ok(deep()),
        }
    }
}

/// A mount in a directory of its own, in this test's own mount namespace (a thread's).
struct Mounted {
    connection: Connection,
    directory: tempfile::TempDir,
}

fn mounted(test: &str) -> Option<Mounted> {
    let made = crate::namespace::unshare(crate::namespace::Namespaces::MOUNT)
        .and_then(|()| {
            let private = mount::Change { private: true, recursive: true, ..Default::default() };
            mount::change(Place::Path(Path::new("/")), &private)
        })
        .and_then(|()| Connection::open("vztest", 0, 0));
    match made {
        Ok((connection, tree)) => {
            let directory = tempfile::tempdir().unwrap();
            attach(tree.as_fd(), Place::Path(directory.path())).unwrap();
            Some(Mounted { connection, directory })
        }
        Err(error) => {
            eprintln!("skipped: {test}: {error}");
            None
        }
    }
}

impl Drop for Mounted {
    /// Before the directory is cleared, which without a server would wait for ever.
    fn drop(&mut self) {
        let _ = mount::unmount(self.directory.path(), true);
    }
}

/// Serves from another thread until idle.
fn serve_a_while(connection: &Connection) -> std::thread::JoinHandle<End> {
    let device = connection.device.try_clone().unwrap();
    std::thread::spawn(move || {
        let connection = Connection::from_descriptor(device);
        let idle = Some(Duration::from_secs(1));
        serve(&connection, &mut Few::default(), (0, 0), idle).unwrap()
    })
}

#[test]
fn files_are_read_and_listed() {
    let Some(mounted) = mounted("files_are_read_and_listed") else {
        return;
    };
    let path = |name: &str| -> PathBuf { mounted.directory.path().join(name) };
    let server = serve_a_while(&mounted.connection);
    let times = |text: String| -> u32 { text.split(' ').nth(1).unwrap().parse().unwrap() };
    let first = times(std::fs::read_to_string(path("file")).unwrap());
    assert!(times(std::fs::read_to_string(path("file")).unwrap()) > first);
    let mut open = File::open(path("file")).unwrap();
    let mut again = || {
        let mut text = String::new();
        std::io::Seek::rewind(&mut open).unwrap();
        open.read_to_string(&mut text).unwrap();
        times(text)
    };
    let first = again();
    assert!(again() > first);
    // As cat of busybox does it.
    let (end, pipe) = nix::unistd::pipe().unwrap();
    let open = File::open(path("file")).unwrap();
    let (to, from) = (pipe.as_raw_fd(), open.as_raw_fd());
    // SAFETY: both are open; a null offset means the file's own position.
    let sent = unsafe { nix::libc::sendfile(to, from, std::ptr::null_mut(), 4096) };
    assert!(sent >= 13, "{sent}");
    drop((end, pipe, open));
    assert_eq!(std::fs::read(path("directory/deep")).unwrap(), deep());
    let mut names: Vec<_> = std::fs::read_dir(path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["directory", "file"]);
    let error = |result: io::Result<Vec<u8>>| result.unwrap_err().raw_os_error().unwrap();
    assert_eq!(error(std::fs::read(path("none"))), nix::libc::ENOENT);
    let write = OpenOptions::new().write(true).open(path("file")).unwrap_err();
    assert_eq!(write.raw_os_error(), Some(nix::libc::EROFS));
    nix::sys::statvfs::statvfs(mounted.directory.path()).unwrap();
    assert_eq!(server.join().unwrap(), End::Idle);
}

#[test]
fn another_server_goes_on() {
    let Some(mounted) = mounted("another_server_goes_on") else {
        return;
    };
    let path = mounted.directory.path().join("directory/deep");
    let first = serve_a_while(&mounted.connection);
    let mut open = File::open(&path).unwrap();
    let mut start = vec![0; 10];
    open.read_exact(&mut start).unwrap();
    assert_eq!(first.join().unwrap(), End::Idle);
    // Nobody serves now; the file that is open is read on by the next.
    let second = serve_a_while(&mounted.connection);
    let mut rest = Vec::new();
    open.read_to_end(&mut rest).unwrap();
    assert_eq!([start, rest].concat(), deep());
    drop(open);
    assert_eq!(second.join().unwrap(), End::Idle);
    mount::unmount(mounted.directory.path(), true).unwrap();
    assert_eq!(serve_a_while(&mounted.connection).join().unwrap(), End::Unmounted);
}

#[test]
fn a_server_that_dies_ends_what_it_had_taken() {
    let Some(mounted) = mounted("a_server_that_dies…") else { return };
    let taken = clone_device(mounted.connection.as_fd()).unwrap();
    let path = mounted.directory.path().join("file");
    let reader = std::thread::spawn(move || std::fs::read(path).unwrap_err().raw_os_error());
    let mut descriptors = [PollFd::new(taken.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::NONE).unwrap();
    let mut buffer = vec![0; LONGEST_REQUEST];
    let length = (&taken).read(&mut buffer).unwrap();
    let asked = Request::parse(&buffer[..length]).unwrap().opcode;
    assert!(matches!(asked, opcode::GETATTR | opcode::LOOKUP), "{asked}");
    drop(taken);
    assert_eq!(reader.join().unwrap(), Some(nix::libc::ECONNABORTED));
    let server = serve_a_while(&mounted.connection);
    assert!(std::fs::read(mounted.directory.path().join("file")).is_ok());
    server.join().unwrap();
}

#[test]
fn few_texts_are_kept() {
    let mut texts = Texts::default();
    let first = texts.new_handle();
    for _ in 0..100 {
        let handle = texts.new_handle();
        assert_eq!(texts.keep(handle, vec![b'x'; KEPT / 4], 0, 3), b"xxx");
        assert!(texts.kept.len() <= 4);
        assert_eq!(texts.get(handle, 1, 2).unwrap(), b"xx");
    }
    assert_eq!(texts.get(first, 0, 1), None);
    let handle = texts.new_handle();
    texts.keep(handle, vec![0; 2 * KEPT], u64::MAX, usize::MAX);
    assert_eq!(texts.kept.len(), 1);
}

#[test]
fn short_requests() {
    for length in 0..IN_HEADER {
        assert!(Request::parse(&vec![0; length]).is_none());
    }
    let empty = vec![0; IN_HEADER];
    let request = Request::parse(&empty).unwrap();
    assert!(request.read_arguments().is_none() && request.u64(usize::MAX).is_none());
}
