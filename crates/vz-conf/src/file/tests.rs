use super::*;
use proptest::prelude::*;
use std::os::unix::fs::symlink;

fn value(line: &str) -> Option<(String, String)> {
    let (key, value) = parse_line(line.as_bytes()).unwrap()?;
    Some((String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap()))
}

#[test]
fn grammar_of_a_line() {
    let cases = [
        ("ONBOOT=yes\n", "ONBOOT", "yes"),
        ("  ONBOOT=\"yes\"  \r\n", "ONBOOT", "yes"),
        ("ONBOOT =\"yes\"", "ONBOOT ", "yes"),
        ("HOSTNAME= \"h1\"", "HOSTNAME", " \"h1\""),
        ("DESCRIPTION=\"a\" b \"c\"", "DESCRIPTION", "a\" b \"c"),
        ("SEARCHDOMAIN=\"x.com\"junk", "SEARCHDOMAIN", "x.com"),
        ("DESCRIPTION=a\"b", "DESCRIPTION", "a\"b"),
        ("NAMESERVER='8.8.8.8'", "NAMESERVER", "'8.8.8.8'"),
        ("DESCRIPTION=\"a\\tb\\nc\\\\d\\\"e\"", "DESCRIPTION", "atbnc\\d\"e"),
        ("DESCRIPTION=abc\\\n", "DESCRIPTION", "abc"),
        ("DESCRIPTION=a # b", "DESCRIPTION", "a # b"),
        ("=foo", "", "foo"),
        ("HOSTNAME=a\0b", "HOSTNAME", "a"),
        ("\u{feff}ONBOOT=yes", "\u{feff}ONBOOT", "yes"),
    ];
    for (line, key, expected) in cases {
        assert_eq!(value(line), Some((key.into(), expected.into())), "{line:?}");
    }
    for line in ["", "\n", " \t\r\n", "# x=y", "   # x=y", "\\"] {
        assert_eq!(value(line), None, "{line:?}");
    }
    assert_eq!(parse_line(b"JUNK LINE"), Err(WarningKind::NoEquals));
    assert_eq!(parse_line(b"HOSTNAME=\"h1"), Err(WarningKind::UnmatchedQuotes));
    assert_eq!(parse_line(b"NAMESERVER=\""), Err(WarningKind::UnmatchedQuotes));
    assert_eq!(parse_line(&[&[b'K'; 512], &b"=x"[..]].concat()), Err(WarningKind::LongKey));
    assert!(parse_line(&[&[b'K'; 511], &b"=x"[..]].concat()).is_ok());
}

#[test]
fn the_originals_defects_are_gone() {
    assert_eq!(ConfFile::parse(b"\n").to_bytes(), b"\n");
    assert_eq!(ConfFile::parse(b"ONBOOT=\"yes\"").get("ONBOOT").unwrap(), "yes");
    let long = format!("DESCRIPTION=\"{}\"\nONBOOT=yes\n", "x".repeat(20_000));
    let file = ConfFile::parse(long.as_bytes());
    assert_eq!(file.get("DESCRIPTION").unwrap().len(), 20_000);
    assert_eq!(file.get("ONBOOT").unwrap(), "yes");
}

#[test]
fn warnings_name_the_line() {
    let (entries, warnings) = ConfFile::parse(b"# c\nJUNK\nA=1\n").read(Path::new("/x/1.conf"));
    assert_eq!((entries.len(), entries[0].line), (1, 3));
    assert_eq!(
        warnings[0].to_string(),
        "Warning: can't parse /x/1.conf:2 ('=' not found), skipping"
    );
}

#[test]
fn only_an_exact_line_is_replaced() {
    let before =
        " ONBOOT=\"no\"\n#ONBOOT=no\nexport ONBOOT=no\nONBOOT =no\nONBOOT=no # x\nONBOOT=2";
    let mut file = ConfFile::parse(before.as_bytes());
    file.set("ONBOOT", "yes").unwrap();
    let after =
        " ONBOOT=\"no\"\n#ONBOOT=no\nexport ONBOOT=no\nONBOOT =no\nONBOOT=\"yes\"\nONBOOT=2\n";
    assert_eq!(String::from_utf8(file.to_bytes()).unwrap(), after);
    assert_eq!(file.remove("ONBOOT"), 3);
}

#[test]
fn a_save_keeps_mode_link_and_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("101.conf"));
    let mut first = File::options().write(true).create_new(true).open(&real).unwrap();
    first.write_all(b"A=1\n").unwrap();
    first.set_permissions(Permissions::from_mode(0o600)).unwrap();
    symlink(&real, &link).unwrap();

    ConfFile::parse(b"A=2\n").save(&link).unwrap();

    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&real).unwrap(), b"A=2\n");
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_new_file_is_readable_by_all_and_a_failure_names_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("5.conf");
    ConfFile::default().save(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);

    let missing = dir.path().join("none/5.conf");
    let error = ConfFile::default().save(&missing).unwrap_err();
    assert!(error.to_string().contains("none/5.conf"), "{error}");
    let below_a_file = path.join("x");
    assert!(matches!(ConfFile::default().save(&below_a_file), Err(SaveError::Resolve { .. })));
}

proptest! {
    #[test]
    fn bytes_are_kept(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let file = ConfFile::parse(&bytes);
        prop_assert_eq!(file.to_bytes(), bytes);
        let _ = file.read(Path::new("f"));
    }

    #[test]
    fn an_edit_leaves_every_other_line(
        lines in prop::collection::vec("[A-C]=[a-z\\\\\"# ]{0,8}\r?|#[^\n\0]{0,8}|[^\n]{0,10}", 0..12),
        value in "[^\\x00-\\x1f\\x7f-\\x9f]{0,20}",
    ) {
        let text = lines.concat_lines();
        let mut file = ConfFile::parse(text.as_bytes());
        file.set("B", &value).unwrap();
        let after = String::from_utf8(file.to_bytes()).unwrap();
        let keep = |text: &str| {
            let mut seen = false;
            let mut rest = Vec::new();
            for line in text.split_inclusive('\n') {
                if !seen && line.starts_with("B=") { seen = true } else { rest.push(line.to_owned()) }
            }
            rest
        };
        prop_assert_eq!(keep(&text), keep(&after));
        let written = after.split_inclusive('\n').find(|line| line.starts_with("B=")).unwrap();
        let (_, read) = parse_line(written.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(read, value.into_bytes());
    }
}

trait ConcatLines {
    fn concat_lines(&self) -> String;
}

impl ConcatLines for Vec<String> {
    fn concat_lines(&self) -> String {
        self.iter().map(|line| format!("{line}\n")).collect()
    }
}
