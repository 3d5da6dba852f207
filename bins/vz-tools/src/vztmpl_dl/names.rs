//! Names of templates and checksums, as they come from servers.

/// Says whether this can be a template's name: it becomes that of a file, a part of a URL and a
/// value in configurations.
pub fn is_template(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._+~".contains(c);
    (1..=128).contains(&name.len())
        && name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// A SHA-256 in hexadecimal digits.
pub fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// As hexadecimal digits.
pub fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a file SHA256SUMS says of `file`: `DIGEST  NAME`, with `*` before the name of a binary.
pub fn digest_in_sums(sums: &str, file: &str) -> Option<[u8; 32]> {
    let of = |line: &str| {
        let (sum, name) = line.split_once(' ')?;
        let name = name.trim().trim_start_matches('*').trim_start_matches("./");
        if name == file { digest(sum) } else { None }
    };
    sums.lines().find_map(of)
}

/// What a template's file in the cache ends in; longer ones first.
const SUFFIXES: [&str; 5] = [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"];

/// The template that a file in the cache is of.
pub fn template_of_file(file: &str) -> Option<&str> {
    SUFFIXES.iter().find_map(|suffix| file.strip_suffix(suffix)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        for name in ["debian-12.0-x86_64-minimal", "a", "x86"] {
            assert!(is_template(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "-a", ".a", "a b", "a\n", "ä", &"a".repeat(129)] {
            assert!(!is_template(name), "{name}");
        }
        assert_eq!(template_of_file("a-1.tar.xz"), Some("a-1"));
        assert_eq!(template_of_file("a-1.tar.xz.part"), None);
        assert_eq!(template_of_file(".tar"), None);
    }

    #[test]
    fn checksums() {
        let text = "0F".repeat(32);
        assert_eq!(digest(&text), Some([15; 32]));
        assert_eq!(hexadecimal(&[15; 32]), text.to_lowercase());
        assert_eq!(digest(&"+f".repeat(32)), None);
        assert_eq!(digest(&"é".repeat(32)), None);
        let sums = format!("{text}  b.tar.gz\n{text} *./a.tar.gz\nx\n");
        assert_eq!(digest_in_sums(&sums, "a.tar.gz"), Some([15; 32]));
        assert_eq!(digest_in_sums(&sums, "c.tar.gz"), None);
    }
}
