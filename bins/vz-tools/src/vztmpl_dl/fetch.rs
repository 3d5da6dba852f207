//! One file from a server into the cache.
//!
//! It comes into `FILE.part`, which becomes `FILE` by a rename when it is whole, verified and on the
//! disk. What a broken connection or a killed command leaves is gone on with, if the server can send
//! the rest and if it is still of the same file: `FILE.part.from` says of which. The part is locked
//! (flock(2)) by whoever writes it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use ureq::Body;
use ureq::http::{Response, StatusCode};
use vz_conf::new_file;
use vz_core::unpack;

use super::http::{Client, Failure};
use super::names;

/// The most that is taken from a server that does not say how much it will send, in bytes.
const ENDLESS: u64 = 16 << 30;
/// How much is read at a time, in bytes.
const PIECE: usize = 256 * 1024;
/// How often a download that gets on is taken up again.
const ATTEMPTS: u32 = 10;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(300);

/// What is to be fetched.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Where it is.
    pub url: &'a str,
    /// Its path in the cache.
    pub path: &'a Path,
    /// Its size in bytes, where it is known.
    pub size: Option<u64>,
    /// Its SHA-256, where it is known.
    pub digest: Option<[u8; 32]>,
}

/// What hears how far it is.
pub trait Watch {
    /// Another command fetches the same file.
    fn waits(&mut self);
    /// It begins, or goes on behind `have` bytes.
    fn starts(&mut self, url: &str, have: u64, total: Option<u64>);
    /// So many bytes are there.
    fn has(&mut self, bytes: u64);
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It is new in the cache.
    New,
    /// The cache has it.
    Same,
}

/// Fetches a file. `verify` looks at it before it gets its name.
///
/// # Errors
/// [`Failure`]; what there is in the cache stays as it was.
pub fn fetch(
    client: &Client,
    wanted: &Wanted<'_>,
    watch: &mut dyn Watch,
    verify: &mut dyn FnMut(&Path) -> Result<(), Failure>,
) -> Result<Fetched, Failure> {
    let mut part = Part::take(wanted.path, watch)?;
    if let Some(digest) = wanted.digest
        && wanted.path.is_file()
        && digest_of(&open(wanted.path)?).map_err(local("read", wanted.path))? == digest
    {
        part.remove();
        return Ok(Fetched::Same);
    }
    let received = receive(client, wanted, &mut part, watch);
    match received {
        Ok(Some(modified)) => {
            part.settle(wanted, modified, verify)?;
            Ok(Fetched::New)
        }
        Ok(None) => {
            part.remove();
            Ok(Fetched::Same)
        }
        // A network may be back another time, as may the mirror that a part is of; what was refused,
        // or fills the disk, is of no use.
        Err(error) => {
            let kept = match error {
                Failure::Broken { .. } => true,
                Failure::NotThere(_) => !part.is_of(wanted.url),
                _ => false,
            };
            if !kept || part.length()? == 0 {
                part.remove();
            }
            Err(error)
        }
    }
}

/// When the server's file was changed last, if it says so.
type Modified = Option<SystemTime>;

/// Receives all of the file; nothing when the cache has the server's.
fn receive(
    client: &Client,
    wanted: &Wanted<'_>,
    part: &mut Part,
    watch: &mut dyn Watch,
) -> Result<Option<Modified>, Failure> {
    let mut attempts = 0;
    loop {
        let before = part.length()?;
        let failed = match attempt(client, wanted, part, watch) {
            Err(failed @ Failure::Broken { .. }) => failed,
            other => return other,
        };
        attempts += 1;
        // Nothing has come: it is not the connection that broke.
        if part.length()? <= before || attempts == ATTEMPTS {
            return Err(failed);
        }
        std::thread::sleep(PAUSE);
    }
}

fn attempt(
    client: &Client,
    wanted: &Wanted<'_>,
    part: &mut Part,
    watch: &mut dyn Watch,
) -> Result<Option<Modified>, Failure> {
    let have = part.usable(wanted)?;
    let response = client.get(wanted.url, &headers(wanted, part, have))?;
    let modified =
        header(&response, "last-modified").and_then(|text| httpdate::parse_http_date(text).ok());
    let (start, total) = match response.status() {
        StatusCode::NOT_MODIFIED if wanted.digest.is_none() && wanted.path.exists() => {
            return Ok(None);
        }
        StatusCode::NOT_MODIFIED => {
            return Err(Failure::broken(wanted.url, "it says that nothing has changed"));
        }
        // The part is no beginning of what is there now, or was whole when its command was killed.
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
            part.restart(wanted, None)?;
            return attempt(client, wanted, part, watch);
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            return Err(Failure::broken(wanted.url, "it has no beginning of the file"));
        }
        StatusCode::PARTIAL_CONTENT => range(&response, have).ok_or_else(|| {
            Failure::Refused(format!("{}: another part than asked for", wanted.url))
        })?,
        _ => (0, header(&response, "content-length").and_then(|text| text.parse().ok())),
    };
    let total = size(wanted, total)?;
    if start == 0 && wanted.digest.is_none() && is_no_newer(wanted.path, modified, total) {
        return Ok(None);
    }
    if start == 0 {
        part.restart(wanted, validator(&response))?;
    }
    part.check_room(start, total)?;
    watch.starts(wanted.url, start, total);
    copy(wanted, response, part, start, total, watch)?;
    if total.is_none() && wanted.digest.is_none() {
        part.check_whole(wanted)?;
    }
    Ok(Some(modified))
}

/// What a server that takes no notice of If-Modified-Since sends again.
fn is_no_newer(path: &Path, modified: Modified, total: Option<u64>) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return false };
    let ours = metadata.modified().ok();
    total == Some(metadata.len()) && modified.is_some() && modified <= ours
}

/// The rest of a part, or a file that is newer than that of the cache.
fn headers(wanted: &Wanted<'_>, part: &Part, have: u64) -> Vec<(&'static str, String)> {
    // A compressed transfer has other bytes.
    let mut headers = vec![("accept-encoding", "identity".to_owned())];
    if have > 0 {
        headers.push(("range", format!("bytes={have}-")));
        headers.extend(part.validator.clone().map(|validator| ("if-range", validator)));
    } else if wanted.digest.is_none()
        && let Ok(modified) = fs::metadata(wanted.path).and_then(|metadata| metadata.modified())
    {
        headers.push(("if-modified-since", httpdate::fmt_http_date(modified)));
    }
    headers
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// What tells this file from a later one: a strong ETag, else its date (RFC 9110, 13.1.5).
fn validator(response: &Response<Body>) -> Option<String> {
    let strong = header(response, "etag").filter(|tag| tag.starts_with('"'));
    strong.or_else(|| header(response, "last-modified")).map(str::to_owned)
}

/// Where the answer to a Range begins, and how long the whole file is: `bytes 5-9/10`.
fn range(response: &Response<Body>, have: u64) -> Option<(u64, Option<u64>)> {
    let text = header(response, "content-range")?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    let total: u64 = total.parse().ok()?;
    (start == have && end.checked_add(1)? == total).then_some((start, Some(total)))
}

/// How long it will be; the index of an image server must agree with the server.
fn size(wanted: &Wanted<'_>, told: Option<u64>) -> Result<Option<u64>, Failure> {
    match (wanted.size, told) {
        (Some(wanted_size), Some(told)) if wanted_size != told => Err(Failure::Refused(format!(
            "{} has {told} bytes, and {wanted_size} in the server's index",
            wanted.url
        ))),
        (size, told) => Ok(size.or(told)),
    }
}

fn copy(
    wanted: &Wanted<'_>,
    response: Response<Body>,
    part: &mut Part,
    start: u64,
    total: Option<u64>,
    watch: &mut dyn Watch,
) -> Result<(), Failure> {
    let most = total.unwrap_or(ENDLESS);
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; PIECE];
    let mut have = start;
    part.file.seek(SeekFrom::Start(start)).map_err(local("write", &part.path))?;
    loop {
        let read = match body.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(|error| Failure::broken(wanted.url, error))?,
        };
        if read == 0 {
            break;
        }
        have += read as u64;
        if have > most {
            return Err(Failure::Refused(format!("{} has more than {most} bytes", wanted.url)));
        }
        let piece = buffer.get(..read).unwrap_or_default();
        part.file.write_all(piece).map_err(local("write", &part.path))?;
        watch.has(have);
    }
    match total {
        Some(total) if have < total => {
            Err(Failure::broken(wanted.url, format_args!("it ended after {have} of {total} bytes")))
        }
        _ => Ok(()),
    }
}

/// The file that is not whole yet, with its lock.
struct Part {
    path: PathBuf,
    /// Says what the part is of: the URL, its checksum or nothing, its validator or nothing.
    origin: PathBuf,
    file: Flock<File>,
    validator: Option<String>,
}

impl Part {
    /// Takes the part of a file, when nobody else has it.
    fn take(target: &Path, watch: &mut dyn Watch) -> Result<Part, Failure> {
        let beside = |suffix: &str| {
            let mut path = target.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let (path, origin) = (beside(".part"), beside(".part.from"));
        let failed = |source| local("lock", &path)(source);
        loop {
            let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
            let opened = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(flags)
                .open(&path);
            let opened = opened.map_err(local("open", &path))?;
            let file = match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((opened, nix::errno::Errno::EWOULDBLOCK)) => {
                    watch.waits();
                    Flock::lock(opened, FlockArg::LockExclusive)
                        .map_err(|(_, error)| failed(error.into()))?
                }
                Err((_, error)) => return Err(failed(error.into())),
            };
            // Who had it has perhaps given it its name, or removed it.
            let held = file.metadata().map_err(failed)?;
            let is_it = |now: fs::Metadata| (now.dev(), now.ino()) == (held.dev(), held.ino());
            if fs::symlink_metadata(&path).is_ok_and(is_it) {
                return Ok(Part { path, origin, file, validator: None });
            }
        }
    }

    fn length(&self) -> Result<u64, Failure> {
        Ok(self.file.metadata().map_err(local("read", &self.path))?.len())
    }

    /// How much of the part can be gone on with, in bytes: it is of the same file, and there is a
    /// way to know.
    fn usable(&mut self, wanted: &Wanted<'_>) -> Result<u64, Failure> {
        let text = fs::read_to_string(&self.origin).unwrap_or_default();
        let mut lines = text.lines();
        let same = lines.next() == Some(wanted.url) && lines.next() == Some(&checksum(wanted));
        self.validator = lines.next().filter(|line| same && !line.is_empty()).map(str::to_owned);
        let length = self.length()?;
        let known = wanted.digest.is_some() || self.validator.is_some();
        let too_long = wanted.size.is_some_and(|size| length >= size);
        Ok(if same && known && !too_long { length } else { 0 })
    }

    /// Whether the part was begun from this URL.
    fn is_of(&self, url: &str) -> bool {
        fs::read_to_string(&self.origin).unwrap_or_default().lines().next() == Some(url)
    }

    /// A server that does not say how much it sends may have ended early: the archive shows it.
    fn check_whole(&self, wanted: &Wanted<'_>) -> Result<(), Failure> {
        unpack::check(open(&self.path)?)
            .map_err(|error| Failure::Refused(format!("{}: {error}", wanted.url)))
    }

    /// Begins anew, with a file that `validator` tells from others.
    fn restart(&mut self, wanted: &Wanted<'_>, validator: Option<String>) -> Result<(), Failure> {
        // First: a part is never of another file than this says.
        self.file.set_len(0).map_err(local("write", &self.path))?;
        let line = validator.filter(|text| !text.contains(char::is_control)).unwrap_or_default();
        let text = format!("{}\n{}\n{line}\n", wanted.url, checksum(wanted));
        new_file::write(&self.origin, text.as_bytes()).map_err(local("write", &self.origin))
    }

    /// Says beforehand that the disk is too small.
    fn check_room(&self, start: u64, total: Option<u64>) -> Result<(), Failure> {
        let stat = nix::sys::statvfs::fstatvfs(&*self.file)
            .map_err(|error| local("look at", &self.path)(error.into()))?;
        let free = stat.blocks_available().saturating_mul(stat.fragment_size());
        match total.map(|total| total - start.min(total)) {
            Some(needed) if needed > free => Err(Failure::Refused(format!(
                "Cannot write {}: No space left on device: {needed} bytes to come, {free} free",
                self.path.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Makes the part the file.
    fn settle(
        self,
        wanted: &Wanted<'_>,
        modified: Modified,
        verify: &mut dyn FnMut(&Path) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let verified = match wanted.digest {
            Some(digest) => check_digest(&self.path, wanted.url, digest),
            None => Ok(()),
        };
        let verified = verified.and_then(|()| verify(&self.path));
        if let Err(error) = verified {
            self.remove();
            return Err(error);
        }
        // By this date the next command asks whether there is a newer one.
        if let Some(modified) = modified {
            self.file.set_modified(modified).map_err(local("write", &self.path))?;
        }
        self.file.sync_all().map_err(local("sync", &self.path))?;
        fs::rename(&self.path, wanted.path).map_err(local("rename", &self.path))?;
        let directory = wanted.path.parent().unwrap_or(wanted.path);
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(local("sync", directory))?;
        let _ = fs::remove_file(&self.origin);
        Ok(())
    }

    /// Removes the part; the origin first, so that there is never one of a part to come.
    fn remove(&self) {
        let _ = fs::remove_file(&self.origin);
        let _ = fs::remove_file(&self.path);
    }
}

/// Checks what has come from `url`.
///
/// # Errors
/// [`Failure::Refused`] for another checksum.
pub fn check_digest(path: &Path, url: &str, digest: [u8; 32]) -> Result<(), Failure> {
    let found = digest_of(&open(path)?).map_err(local("read", path))?;
    if found == digest {
        return Ok(());
    }
    let (found, digest) = (names::hexadecimal(&found), names::hexadecimal(&digest));
    Err(Failure::Refused(format!("{url}: checksum is {found}, not {digest}")))
}

fn checksum(wanted: &Wanted<'_>) -> String {
    wanted.digest.map(|digest| names::hexadecimal(&digest)).unwrap_or_default()
}

/// SHA-256 of what is left to be read.
fn digest_of(mut file: &File) -> io::Result<[u8; 32]> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; PIECE];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        context.update(buffer.get(..read).unwrap_or_default());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(local("open", path))
}

/// What the own disk refuses.
fn local(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |source| Failure::Local { verb, path, source }
}
