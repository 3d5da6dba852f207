use std::os::unix::net::UnixListener;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A message put together by hand: kind, body, header fields already padded.
fn message(kind: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b'l', kind, 0, 1];
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(7_u32.to_le_bytes());
    bytes.extend((fields.len() as u32).to_le_bytes());
    bytes.extend(fields);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(body);
    bytes
}

#[test]
fn method_call_is_as_the_specification_lays_it_out() {
    let call = Call { destination: "d.d", path: "/p", interface: "i.i" };
    let properties = [("A", Value::U32Array(&[5])), ("B", Value::Bool(true)), ("C", Value::U64(9))];
    let arguments = [Value::Text("u"), Value::Properties(&properties), Value::NoUnits];
    let bytes = message::method_call(3, &call, "M", &arguments);
    let mut expected = Vec::new();
    expected.extend(b"l\x01\x00\x01\x58\x00\x00\x00\x03\x00\x00\x00\x55\x00\x00\x00");
    expected.extend(b"\x01\x01o\x00\x02\x00\x00\x00/p\x00\x00\x00\x00\x00\x00");
    expected.extend(b"\x02\x01s\x00\x03\x00\x00\x00i.i\x00\x00\x00\x00\x00");
    expected.extend(b"\x03\x01s\x00\x01\x00\x00\x00M\x00\x00\x00\x00\x00\x00\x00");
    expected.extend(b"\x06\x01s\x00\x03\x00\x00\x00d.d\x00\x00\x00\x00\x00");
    expected.extend(b"\x08\x01g\x00\x0fsa(sv)a(sa(sv))\x00");
    expected.resize(expected.len().next_multiple_of(8), 0);
    expected.extend(b"\x01\x00\x00\x00u\x00\x00\x00"); // "u"
    expected.extend(b"\x40\x00\x00\x00\x00\x00\x00\x00"); // length of the properties, padding
    expected.extend(b"\x01\x00\x00\x00A\x00\x02au\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00");
    expected.extend(b"\x00\x00\x00\x00");
    expected.extend(b"\x01\x00\x00\x00B\x00\x01b\x00\x00\x00\x00\x01\x00\x00\x00");
    expected.extend(b"\x01\x00\x00\x00C\x00\x01t\x00\x00\x00\x00\x00\x00\x00\x00");
    expected.extend(b"\x09\x00\x00\x00\x00\x00\x00\x00");
    expected.extend(b"\x00\x00\x00\x00\x00\x00\x00\x00"); // no further units, padding
    assert_eq!(bytes.len(), expected.len());
    for (at, (got, wanted)) in bytes.iter().zip(&expected).enumerate() {
        assert_eq!(got, wanted, "byte {at} of {bytes:02x?}");
    }
}

#[test]
fn broken_messages_are_errors() {
    let whole = message(2, b"\x05\x01u\x00\x01\x00\x00\x00", b"\x02\x00\x00\x00/a\x00");
    let (header, body) = message::split(&whole).unwrap();
    assert_eq!((header.kind, header.reply_to), (Kind::Return, Some(1)));
    assert_eq!(Reader::new(&body).text().unwrap(), "/a");
    for cut in 0..16 {
        assert_eq!(message::length(&whole[..cut]).unwrap(), None);
    }
    assert!(message::split(&whole[..20]).is_err());
    let mut long = whole.clone();
    long[15] = 0xff;
    assert!(message::length(&long).is_err());
    let mut big_endian = whole;
    big_endian[0] = b'B';
    assert!(message::length(&big_endian).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for byte in [(0, b'l'), (3, 1)] {
            if let Some(place) = bytes.get_mut(byte.0) {
                *place = byte.1;
            }
        }
        let _ = message::length(&bytes);
        if let Ok((header, body)) = message::split(&bytes) {
            let _ = ended_job(&header, &body);
        }
    }
}

fn add_field(bytes: &mut Vec<u8>, code: u8, text: &str) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend([code, 1, b's', 0]);
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

fn texts(mut body: Vec<u8>, texts: &[&str]) -> Vec<u8> {
    for text in texts {
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend((text.len() as u32).to_le_bytes());
        body.extend(text.as_bytes());
        body.push(0);
    }
    body
}

fn job_removed(job: &str, result: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    add_field(&mut fields, 2, MANAGER);
    add_field(&mut fields, 3, "JobRemoved");
    fields.resize(fields.len().next_multiple_of(8), 0);
    fields.extend(b"\x08\x01g\x00\x04uoss\x00");
    message(4, &fields, &texts(vec![1, 0, 0, 0], &[job, "x.scope", result]))
}

fn answer() -> Vec<u8> {
    message(2, b"\x05\x01u\x00\x01\x00\x00\x00", &texts(vec![], &["/job/1"]))
}

/// The far end of the socket sends these bytes after the authentication, whole or one by one.
/// What is tested is this side: order of messages, pieces, ends.
fn against(replies: Vec<u8>, piece: usize) -> Result<(), Error> {
    let run = tempfile::tempdir().unwrap();
    std::fs::create_dir(run.path().join("systemd")).unwrap();
    let listener = UnixListener::bind(run.path().join("systemd/private")).unwrap();
    std::thread::scope(|scope| {
        let far = scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut greeting = [0; 19];
            stream.read_exact(&mut greeting).unwrap();
            assert!(greeting.starts_with(b"\0AUTH EXTERNAL "));
            stream.write_all(b"OK 0123\r\n").unwrap();
            replies.chunks(piece).for_each(|piece| stream.write_all(piece).unwrap());
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let result = Manager::connect(run.path(), SECOND)
            .and_then(|mut manager| manager.stop_unit("x.scope", SECOND / 4));
        far.join().unwrap();
        result
    })
}

#[test]
fn job_is_waited_for_in_any_order_and_in_pieces() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: job_is_waited_for_in_any_order_and_in_pieces: greeting has uid 0");
        return;
    }
    let other = job_removed("/job/2", "failed");
    let done = job_removed("/job/1", "done");
    against([answer(), other.clone(), done.clone()].concat(), 4096).unwrap();
    against([done, other.clone(), answer()].concat(), 1).unwrap();
    let failed = against([answer(), job_removed("/job/1", "timeout")].concat(), 7).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "StopUnit x.scope by systemd: job ended with result \"timeout\""
    );
    let silent = against([answer(), other].concat(), 4096).unwrap_err();
    assert!(matches!(silent, Error::Timeout { method: "StopUnit", .. }), "{silent}");
    let mut fields = b"\x05\x01u\x00\x01\x00\x00\x00".to_vec();
    add_field(&mut fields, 4, NO_SUCH_UNIT);
    let gone = message(3, &fields, &texts(vec![], &["Unit x.scope not loaded."]));
    let gone = against(gone, 4096).unwrap_err();
    assert!(gone.is_no_such_unit(), "{gone}");
}

#[test]
fn systemd_is_looked_for_in_run() {
    let run = tempfile::tempdir().unwrap();
    assert!(!is_booted(run.path()));
    std::fs::create_dir(run.path().join("systemd")).unwrap();
    std::fs::create_dir(run.path().join("systemd/system")).unwrap();
    assert!(is_booted(run.path()));
    let error = Manager::connect(run.path(), SECOND).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}

#[test]
fn systemd_makes_and_stops_a_scope() {
    let name = "systemd_makes_and_stops_a_scope";
    let run = Path::new("/run");
    if !is_booted(run) || !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: {name}: needs systemd and root");
        return;
    }
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let unit = format!("vz-sys-test-{}.scope", std::process::id());
    let scope = Scope {
        name: &unit,
        slice: "system.slice",
        description: "test",
        processes: &[child.id()],
        properties: DELEGATED,
    };
    let timeout = 10 * SECOND;
    let mut manager = Manager::connect(run, timeout).unwrap();
    manager.start_scope(&scope, timeout).unwrap();
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    assert!(groups.contains(&format!("/system.slice/{unit}")), "{groups}");
    assert!(manager.start_scope(&scope, timeout).unwrap_err().is_unit_exists());
    manager.stop_unit(&unit, timeout).unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(manager.stop_unit(&unit, timeout).unwrap_err().is_no_such_unit());
}
