//! vztmpl-dl against servers of all kinds, on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails so, in its own directory"
)]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A file as a server has it.
#[derive(Clone, Default)]
struct Resource {
    body: Vec<u8>,
    /// Lines of the answer besides Content-Length.
    headers: Vec<String>,
    /// It breaks off after so many bytes of each answer.
    breaks_after: Option<usize>,
    /// It is sent without a length, to the end of the connection.
    endless: bool,
    /// It is sent in full to whoever wants a part.
    no_ranges: bool,
    status: Option<&'static str>,
}

/// A server, and the requests it has had: `PATH range if-range if-modified-since`.
struct Server {
    url: String,
    files: Arc<Mutex<HashMap<String, Resource>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let files: Arc<Mutex<HashMap<String, Resource>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let server = Server { url, files: files.clone(), asked: asked.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, asked) = (files.clone(), asked.clone());
                std::thread::spawn(move || answer(stream, &files, &asked));
            }
        });
        server
    }

    fn put(&self, path: &str, resource: Resource) {
        self.files.lock().unwrap().insert(path.into(), resource);
    }

    fn has(&self, path: &str, body: &[u8]) {
        self.put(path, Resource { body: body.to_vec(), ..Resource::default() });
    }

    fn requests(&self, path: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let of = asked.iter().filter_map(|line| line.strip_prefix(path));
        of.filter(|rest| rest.starts_with(' ')).map(|rest| rest.trim().to_owned()).collect()
    }
}

type Files = Mutex<HashMap<String, Resource>>;

/// One request; `None` where the client is gone.
fn answer(mut stream: TcpStream, files: &Files, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let request = lines.next()?.ok()?;
    let path = request.split(' ').nth(1)?.to_owned();
    let mut fields = HashMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        fields.insert(name.to_lowercase(), value.to_owned());
    }
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let note = [field("range"), field("if-range"), field("if-modified-since")].join(" ");
    asked.lock().unwrap().push(format!("{path} {note}"));
    let Some(file) = files.lock().unwrap().get(&path).cloned() else {
        return write!(stream, "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .ok();
    };
    let unchanged =
        |value: &str| !value.is_empty() && file.headers.iter().any(|line| line.ends_with(value));
    if unchanged(&field("if-modified-since")) {
        return write!(stream, "HTTP/1.1 304 Same\r\nConnection: close\r\n\r\n").ok();
    }
    let wanted = field("range");
    let start =
        wanted.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
    let valid = field("if-range").is_empty() || unchanged(&field("if-range"));
    let start = start.filter(|_| valid && !file.no_ranges).unwrap_or(0);
    let length = file.body.len();
    if start > 0 && start >= length {
        return write!(stream, "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .ok();
    }
    let status = file.status.unwrap_or(if start > 0 { "206 Partial" } else { "200 OK" });
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n").ok()?;
    file.headers.iter().try_for_each(|line| write!(stream, "{line}\r\n")).ok()?;
    if start > 0 {
        write!(stream, "Content-Range: bytes {start}-{}/{length}\r\n", length - 1).ok()?;
    }
    if !file.endless {
        write!(stream, "Content-Length: {}\r\n", length - start).ok()?;
    }
    write!(stream, "\r\n").ok()?;
    let end = file.breaks_after.map_or(length, |most| length.min(start + most));
    stream.write_all(&file.body[start..end]).ok()
}

/// A node whose templates come from these repositories.
fn node(repositories: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let conf = format!("TEMPLATE_REPOS=\"{}\"\n", repositories.join(" "));
    fs::create_dir_all(directory.path().join("etc/vz")).unwrap();
    fs::write(directory.path().join("etc/vz/vz.conf"), "TEMPLATE=/t\n").unwrap();
    fs::write(directory.path().join("etc/vz/download.conf"), conf).unwrap();
    directory
}

fn command(node: &TempDir, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vz-tools"));
    for name in ["http_proxy", "https_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.arg("vztmpl-dl").args(words).env("VZ_SYSROOT", node.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(node: &TempDir, words: &[&str]) -> (Option<i32>, String) {
    let output = command(node, words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn cached(node: &TempDir, file: &str) -> PathBuf {
    node.path().join("t/cache").join(file)
}

fn files(node: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(cached(node, "")).into_iter().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 7 + place / 251) as u8).collect()
}

fn digest(bytes: &[u8]) -> String {
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn from_the_first_mirror_that_has_it() {
    let (empty, full) = (Server::start(), Server::start());
    full.has("/a-1.tar.gz", &content(300_000));
    let node = node(&[&empty.url, &full.url]);
    let (code, said) = run(&node, &["a-1"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("/t/cache/a-1.tar.gz saved\n"), "{said}");
    assert_eq!(fs::read(cached(&node, "a-1.tar.gz")).unwrap(), content(300_000));
    assert_eq!(files(&node), ["a-1.tar.gz"]);
    assert_eq!(
        run(&node, &["--no-update", "a-1"]),
        (Some(2), "vztmpl-dl ERROR: file /t/cache/a-1.tar.gz is present, not updating.\n".into())
    );
    assert_eq!(run(&node, &["b"]), (Some(1), "vztmpl-dl ERROR: template b not found!\n".into()));
    for name in ["../a-1", "x/a-1", "a\u{7}"] {
        assert_eq!(run(&node, &[name]).0, Some(1), "{name}");
    }
}

#[test]
fn a_newer_one_and_the_same() {
    let server = Server::start();
    let file = |body: &[u8], date: &str| Resource {
        body: body.to_vec(),
        headers: vec![format!("Last-Modified: {date}")],
        ..Resource::default()
    };
    server.put("/a.tar.gz", file(b"old", "Sun, 06 Nov 1994 08:49:37 GMT"));
    let node = node(&[&server.url]);
    assert_eq!(run(&node, &["--quiet", "a"]), (Some(0), String::new()));
    assert_eq!(run(&node, &["a"]), (Some(0), "/t/cache/a.tar.gz is up to date\n".into()));
    server.put("/a.tar.gz", file(b"new", "Mon, 07 Nov 1994 08:49:37 GMT"));
    assert_eq!(run(&node, &["--quiet", "--update-all"]).0, Some(0));
    assert_eq!(fs::read(cached(&node, "a.tar.gz")).unwrap(), b"new");
    assert_eq!(files(&node), ["a.tar.gz"]);
}

#[test]
fn a_connection_that_breaks_off_is_taken_up_again() {
    let server = Server::start();
    let tagged = Resource {
        body: content(1000),
        headers: vec!["ETag: \"1\"".into()],
        breaks_after: Some(400),
        ..Resource::default()
    };
    server.put("/a.tar.gz", tagged.clone());
    let node = node(&[&server.url]);
    let (code, said) = run(&node, &["a"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read(cached(&node, "a.tar.gz")).unwrap(), content(1000));
    assert_eq!(server.requests("/a.tar.gz"), ["", "bytes=400- \"1\"", "bytes=800- \"1\""]);
    // Without ranges it begins anew, until it is given up: nothing is gained.
    server.put("/b.tar.gz", Resource { no_ranges: true, ..tagged });
    let (code, said) = run(&node, &["b"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.ends_with(&format!("failed to download {}/b.tar.gz!\n", server.url)), "{said}");
    assert!(!files(&node).contains(&"b.tar.gz".into()));
}

#[test]
fn a_part_of_another_file_is_not_gone_on_with() {
    let server = Server::start();
    let file = |body: Vec<u8>, tag: &str| Resource {
        body,
        headers: vec![format!("ETag: \"{tag}\"")],
        ..Resource::default()
    };
    let node = node(&[&server.url]);
    server.put("/a.tar.gz", Resource { breaks_after: Some(0), ..file(content(1000), "2") });
    run(&node, &["a"]);
    // As a killed command has left it.
    let from = format!("{}/a.tar.gz\n\n\"1\"\n", server.url);
    fs::write(cached(&node, "a.tar.gz.part"), [0; 500]).unwrap();
    fs::write(cached(&node, "a.tar.gz.part.from"), &from).unwrap();
    server.put("/a.tar.gz", file(content(1000), "2"));
    assert_eq!(run(&node, &["--quiet", "a"]), (Some(0), String::new()));
    assert_eq!(server.requests("/a.tar.gz").last().unwrap(), "bytes=500- \"1\"");
    assert_eq!(fs::read(cached(&node, "a.tar.gz")).unwrap(), content(1000));
    // Nothing says what this is a part of; and this is longer than what is there.
    for (name, from) in [("b", None), ("c", Some(format!("{}/c.tar.gz\n\n\"2\"\n", server.url)))] {
        server.put(&format!("/{name}.tar.gz"), file(content(300), "2"));
        fs::write(cached(&node, &format!("{name}.tar.gz.part")), [0; 500]).unwrap();
        from.iter().for_each(|from| {
            fs::write(cached(&node, &format!("{name}.tar.gz.part.from")), from).unwrap()
        });
        let first = run(&node, &["--quiet", name]);
        let second = run(&node, &["--quiet", name]);
        assert!(first.0 == Some(0) || second.0 == Some(0), "{first:?} {second:?}");
        assert_eq!(fs::read(cached(&node, &format!("{name}.tar.gz"))).unwrap(), content(300));
    }
    assert_eq!(files(&node), ["a.tar.gz", "b.tar.gz", "c.tar.gz"]);
}

#[test]
fn checksums_of_a_mirror() {
    let server = Server::start();
    server.has("/a.tar.gz", b"whole");
    server.has("/b.tar.gz", b"whole");
    server.has(
        "/SHA256SUMS",
        format!("{}  a.tar.gz\n{}  b.tar.gz\n", digest(b"whole"), digest(b"other")).as_bytes(),
    );
    let node = node(&[&server.url]);
    assert_eq!(run(&node, &["--quiet", "a"]), (Some(0), String::new()));
    let (code, said) = run(&node, &["--quiet", "b"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("checksum is "), "{said}");
    assert_eq!(files(&node), ["a.tar.gz"]);
}

#[test]
fn a_mirror_that_refuses_what_it_does_not_have() {
    let server = Server::start();
    server.has("/a.tar.gz", b"whole");
    server.put("/SHA256SUMS", Resource { status: Some("403 No"), ..Resource::default() });
    let node = node(&[&server.url]);
    assert_eq!(run(&node, &["--quiet", "a"]), (Some(0), String::new()));
    assert_eq!(files(&node), ["a.tar.gz"]);
}

#[test]
fn an_older_archive_that_is_compressed_in_another_way() {
    let body = content(5000);
    let (_server, node) = image_server(&body, body.len(), &digest(&body), "images/r.tar.xz");
    fs::create_dir_all(cached(&node, "")).unwrap();
    let (old, other) = ("debian-trixie-x86_64.tar.gz", "debian-trixie-x86_64-cloud.tar.gz");
    let put = |name: &str| fs::write(cached(&node, name), "old").unwrap();
    put(old);
    put(other);
    let (code, said) = run(&node, &["debian-trixie-x86_64"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("/t/cache/{old} removed\n")), "{said}");
    assert_eq!(files(&node), [other, "debian-trixie-x86_64.tar.xz"]);
    // Put there since; and what a killed command had still to remove.
    put(old);
    run(&node, &["debian-trixie-x86_64"]);
    assert_eq!(files(&node).len(), 3);
    let long_ago = std::time::UNIX_EPOCH;
    File::options().write(true).open(cached(&node, old)).unwrap().set_modified(long_ago).unwrap();
    run(&node, &["debian-trixie-x86_64"]);
    assert_eq!(files(&node), [other, "debian-trixie-x86_64.tar.xz"]);
}

#[test]
fn a_part_of_a_mirror_outlives_those_that_have_nothing() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (empty, full) = (Server::start(), Server::start());
    let file = |breaks_after, no_ranges| Resource {
        body: content(1000),
        headers: vec!["ETag: \"1\"".into()],
        breaks_after,
        no_ranges,
        ..Resource::default()
    };
    let node = node(&[&empty.url, &full.url]);
    full.put("/a.tar.gz", file(Some(400), true));
    assert_eq!(run(&node, &["--quiet", "a"]).0, Some(1));
    assert_eq!(files(&node), ["a.tar.gz.part", "a.tar.gz.part.from"]);
    full.put("/a.tar.gz", file(None, false));
    assert_eq!(run(&node, &["--quiet", "a"]), (Some(0), String::new()));
    assert_eq!(full.requests("/a.tar.gz").last().unwrap(), "bytes=400- \"1\"");
    assert_eq!(fs::read(cached(&node, "a.tar.gz")).unwrap(), content(1000));

    // The part is of a mirror that cannot be reached any more.
    let node = self::node(&[&format!("http://{gone}"), &full.url]);
    fs::create_dir_all(cached(&node, "")).unwrap();
    fs::write(cached(&node, "a.tar.gz.part"), [0; 500]).unwrap();
    let from = format!("http://{gone}/a.tar.gz\n\n\"1\"\n");
    fs::write(cached(&node, "a.tar.gz.part.from"), from).unwrap();
    assert_eq!(run(&node, &["--quiet", "a"]).0, Some(0));
    assert_eq!(fs::read(cached(&node, "a.tar.gz")).unwrap(), content(1000));
}

#[test]
fn a_part_that_was_whole_when_its_command_was_killed() {
    let server = Server::start();
    let headers = vec!["ETag: \"1\"".into()];
    server.put("/a.tar.gz", Resource { body: content(1000), headers, ..Resource::default() });
    let node = node(&[&server.url]);
    fs::create_dir_all(cached(&node, "")).unwrap();
    fs::write(cached(&node, "a.tar.gz.part"), content(1000)).unwrap();
    let from = format!("{}/a.tar.gz\n\n\"1\"\n", server.url);
    fs::write(cached(&node, "a.tar.gz.part.from"), from).unwrap();
    assert_eq!(run(&node, &["--quiet", "a"]), (Some(0), String::new()));
    assert_eq!(server.requests("/a.tar.gz"), ["bytes=1000- \"1\"", ""]);
    assert_eq!(fs::read(cached(&node, "a.tar.gz")).unwrap(), content(1000));
}

#[test]
fn without_a_length_the_archive_says_whether_it_is_whole() {
    let server = Server::start();
    let whole = [0; 1024];
    let answer =
        |body: &[u8]| Resource { body: body.to_vec(), endless: true, ..Resource::default() };
    server.put("/a.tar", answer(&whole));
    server.put("/b.tar", answer(&whole[..100]));
    let node = node(&[&server.url]);
    let conf = format!("TEMPLATE_REPOS={}\nTMPL_SUFFIXES=tar\n", server.url);
    fs::write(node.path().join("etc/vz/download.conf"), conf).unwrap();
    assert_eq!(run(&node, &["--quiet", "a"]), (Some(0), String::new()));
    let (code, said) = run(&node, &["b"]);
    assert!(code == Some(1) && said.contains("truncated"), "{said}");
    assert_eq!(files(&node), ["a.tar"]);
}

/// An image server with one template, and what its index says of it.
fn image_server(body: &[u8], size: usize, digest: &str, path: &str) -> (Server, TempDir) {
    let server = Server::start();
    server.has(
        "/streams/v1/index.json",
        br#"{"index":{"images":{"datatype":"image-downloads","path":"streams/v1/images.json"}}}"#,
    );
    let item =
        format!(r#"{{"ftype":"root.tar.xz","path":"{path}","size":{size},"sha256":"{digest}"}}"#);
    let images = format!(
        r#"{{"products":{{"p":{{"os":"Debian","release":"trixie","arch":"amd64","variant":"default",
        "versions":{{"20260101":{{"items":{{"root.tar.xz":{item}}}}}}}}}}}}}"#
    );
    server.has("/streams/v1/images.json", images.as_bytes());
    server.has("/images/r.tar.xz", body);
    let node = node(&[&format!("{}/streams/v1/index.json", server.url)]);
    (server, node)
}

#[test]
fn image_servers() {
    let body = content(50_000);
    let (server, node) = image_server(&body, body.len(), &digest(&body), "images/r.tar.xz");
    assert_eq!(run(&node, &["--list-remote"]), (Some(0), "debian-trixie-x86_64\n".into()));
    // Gone on with without a validator: the checksum says whether it was right.
    server.put(
        "/images/r.tar.xz",
        Resource { body: body.clone(), breaks_after: Some(30_000), ..Resource::default() },
    );
    let (code, said) = run(&node, &["debian-trixie-x86_64"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read(cached(&node, "debian-trixie-x86_64.tar.xz")).unwrap(), body);
    assert_eq!(
        run(&node, &["debian-trixie-x86_64"]).1,
        "/t/cache/debian-trixie-x86_64.tar.xz is up to date\n"
    );
    assert_eq!(server.requests("/images/r.tar.xz"), ["", "bytes=30000-"]);

    let wrong = [
        (body.len(), digest(b"x"), "images/r.tar.xz", "checksum is"),
        (body.len() - 1, digest(&body), "images/r.tar.xz", "in the server's index"),
        (body.len(), digest(&body), "../r.tar.xz", "refused"),
    ];
    for (size, digest, path, why) in wrong {
        let (_server, node) = image_server(&body, size, &digest, path);
        let (code, said) = run(&node, &["debian-trixie-x86_64"]);
        assert!(code == Some(1) && said.contains(why), "{code:?} {said}");
        assert!(files(&node).is_empty(), "{:?}", files(&node));
    }
}

#[test]
fn hostile_answers() {
    let (server, other) = (Server::start(), Server::start());
    let moved = |to: &str| Resource {
        headers: vec![format!("Location: {to}")],
        status: Some("302 There"),
        ..Resource::default()
    };
    server.put("/file.tar.gz", moved("file:///etc/passwd"));
    server.put("/loop.tar.gz", moved("/loop.tar.gz"));
    server.put("/moved.tar.gz", moved(&format!("{}/x", other.url)));
    other.has("/x", b"moved");
    server.put(
        "/huge.tar.gz",
        Resource {
            headers: vec!["Content-Length: 1000000000000000".into()],
            endless: true,
            ..Resource::default()
        },
    );
    server.put(
        "/odd.tar.gz",
        Resource {
            status: Some("206 Partial"),
            body: b"x".into(),
            headers: vec!["Content-Range: bytes 5-9/10".into()],
            ..Resource::default()
        },
    );
    server.put(
        "/long.tar.gz",
        Resource { headers: vec![format!("X: {}", "x".repeat(1 << 20))], ..Resource::default() },
    );
    server.put("/broken.tar.gz", Resource { status: Some("500 No"), ..Resource::default() });
    server.has("/.listing", b"a-1\n\x1b]0;x\x07\n../b\nc\n");
    let node = node(&[&server.url]);
    for name in ["file", "loop", "huge", "odd", "long", "broken"] {
        let (code, said) = run(&node, &[name]);
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(said.starts_with("vztmpl-dl "), "{name}: {said}");
    }
    assert!(run(&node, &["huge"]).1.contains("No space left on device"));
    assert!(files(&node).is_empty(), "{:?}", files(&node));
    assert_eq!(run(&node, &["--quiet", "moved"]), (Some(0), String::new()));
    assert_eq!(run(&node, &["--list-remote"]).1, "a-1\nc\n");
    // More than an index may have.
    server.put(
        "/streams/v1/index.json",
        Resource { body: vec![b' '; (64 << 20) + 2], ..Resource::default() },
    );
    let node = self::node(&[&format!("{}/streams/v1/index.json", server.url)]);
    let (code, said) = run(&node, &["x"]);
    assert!(code == Some(1) && said.contains("has more than 67108864 bytes"), "{said}");
}

#[test]
fn what_cannot_be_reached_is_told() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start();
    server.has("/a.tar.gz", b"a");
    let node = node(&[&format!("http://{gone}"), &server.url]);
    let (code, said) = run(&node, &["--quiet", "a"]);
    assert!(code == Some(0) && said.starts_with("vztmpl-dl WARNING: Cannot get "), "{said}");
    let (code, said) = run(&node, &["b"]);
    assert!(
        code == Some(1) && said.ends_with("vztmpl-dl ERROR: template b not found!\n"),
        "{said}"
    );
    // By way of a proxy that is not there.
    let output =
        command(&node, &["a"]).env("http_proxy", format!("http://{gone}")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

fn wait_for(what: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server that sends the first half, and the second when it is told to.
fn halting(body: Vec<u8>) -> (String, Arc<Mutex<bool>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let open = Arc::new(Mutex::new(false));
    let gate = open.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (body, gate) = (body.clone(), gate.clone());
            std::thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().ok()?).lines();
                let head: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                if !head.first()?.contains(".tar.gz") {
                    return write!(
                        stream,
                        "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    )
                    .ok();
                }
                let range = head.iter().find_map(|line| {
                    line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned)
                });
                let start: usize =
                    range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
                let status = if start > 0 {
                    format!(
                        "206 Partial\r\nContent-Range: bytes {start}-{}/{}",
                        body.len() - 1,
                        body.len()
                    )
                } else {
                    "200 OK".into()
                };
                write!(stream, "HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len() - start).ok()?;
                let half = body.len() / 2;
                if start < half {
                    stream.write_all(&body[start..half]).ok()?;
                }
                wait_for(|| *gate.lock().unwrap());
                stream.write_all(&body[start.max(half)..]).ok()
            });
        }
    });
    (url, open)
}

fn half_there(node: &TempDir, length: usize) -> bool {
    fs::metadata(cached(node, "a.tar.gz.part")).is_ok_and(|part| part.len() == length as u64 / 2)
}

fn start(node: &TempDir) -> Child {
    command(node, &["a"]).spawn().unwrap()
}

#[test]
fn killed_in_the_middle_and_gone_on_with() {
    let body = content(100_000);
    let (url, open) = halting(body.clone());
    let node = node(&[&url]);
    let mut killed = start(&node);
    wait_for(|| half_there(&node, body.len()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(files(&node), ["a.tar.gz.part", "a.tar.gz.part.from"]);
    assert_eq!(run(&node, &["--list-local"]).1, "");
    *open.lock().unwrap() = true;
    let (code, said) = run(&node, &["a"]);
    assert!(code == Some(0) && said.contains("going on after 50000"), "{said}");
    assert_eq!(fs::read(cached(&node, "a.tar.gz")).unwrap(), body);
    assert_eq!(files(&node), ["a.tar.gz"]);
}

#[test]
fn two_of_one_template_do_not_mix() {
    let body = content(100_000);
    let (url, open) = halting(body.clone());
    let node = node(&[&url]);
    let first = start(&node);
    wait_for(|| half_there(&node, body.len()));
    let mut second = start(&node);
    // It says that it waits.
    let mut said = BufReader::new(second.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("is under way"));
    *open.lock().unwrap() = true;
    for child in [first, second] {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(fs::read(cached(&node, "a.tar.gz")).unwrap(), body);
    assert_eq!(files(&node), ["a.tar.gz"]);
}

#[test]
fn a_link_in_the_place_of_the_part_is_not_followed() {
    let server = Server::start();
    server.has("/a.tar.gz", b"a");
    let node = node(&[&server.url]);
    fs::create_dir_all(cached(&node, "")).unwrap();
    let outside = node.path().join("outside");
    fs::write(&outside, "kept").unwrap();
    std::os::unix::fs::symlink(&outside, cached(&node, "a.tar.gz.part")).unwrap();
    assert_eq!(run(&node, &["a"]).0, Some(1));
    assert_eq!(fs::read(outside).unwrap(), b"kept");
}

/// A key ring with a key of this name, and another.
fn keys() -> Option<TempDir> {
    let home = tempfile::Builder::new().prefix("k").tempdir_in("/tmp").unwrap();
    for name in ["ours@example.org", "other@example.org"] {
        let mut gpg = gpg(home.path());
        let words =
            ["--batch", "--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", "never"];
        if !gpg.args(words).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return None;
        }
    }
    Some(home)
}

fn gpg(home: &Path) -> Command {
    let mut command = Command::new("gpg");
    command.env("GNUPGHOME", home);
    command
}

#[test]
fn signatures() {
    let Some(home) = keys() else {
        eprintln!("skipped: no gpg here");
        return;
    };
    let server = Server::start();
    let file = home.path().join("file");
    fs::write(&file, "signed").unwrap();
    for (name, key) in [("a", "ours@example.org"), ("b", "other@example.org")] {
        let signature = gpg(home.path())
            .args(["--batch", "--yes", "-u", key, "-ab", "-o", "-"])
            .arg(&file)
            .output()
            .unwrap();
        server.has(&format!("/{name}.tar.gz.asc"), &signature.stdout);
        server.has(&format!("/{name}.tar.gz"), b"signed");
    }
    server.has("/c.tar.gz", b"unsigned");
    let node = node(&[&server.url]);
    let conf = node.path().join("etc/vz/download.conf");
    let text =
        fs::read_to_string(&conf).unwrap() + "GPG_KEY=ours@example.org\nCHECK_TEMPLATE_SIG=yes\n";
    fs::write(&conf, &text).unwrap();
    let checked =
        |name: &str| command(&node, &[name]).env("GNUPGHOME", home.path()).output().unwrap();
    assert_eq!(checked("a").status.code(), Some(0));
    // A good signature, of a key that nobody asked for; and none.
    for name in ["b", "c"] {
        let output = checked(name);
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .ends_with("vztmpl-dl ERROR: signature check failed!\n")
        );
    }
    assert_eq!(files(&node), ["a.tar.gz"]);
    fs::write(conf, text.replace("ours@", "nobody@")).unwrap();
    assert_eq!(checked("a").status.code(), Some(5));
    let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", home.path()).status();
}
