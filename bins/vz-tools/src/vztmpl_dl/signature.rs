//! OpenPGP signatures of templates, checked by gpg(1).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::http::Failure;

/// What gpg can be asked to check here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// All that it takes is there.
    Checks,
    /// There is no gpg.
    NoProgram,
    /// The key ring lacks the key.
    NoKey,
}

/// Looks whether there is gpg and the key.
pub fn ability(key: &str) -> Ability {
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null()).status()
    };
    if !quiet(Command::new("gpg").arg("--version")).is_ok_and(|status| status.success()) {
        return Ability::NoProgram;
    }
    match quiet(Command::new("gpg").args(["--batch", "-k", "--"]).arg(key)) {
        Ok(status) if status.success() => Ability::Checks,
        _ => Ability::NoKey,
    }
}

/// Checks the signature of a file: it must be of `key`, not just of any key that is in the ring.
///
/// # Errors
/// What does not fit.
pub fn check(signature: &[u8], file: &Path, key: &str) -> Result<(), Failure> {
    let failed = |source| Failure::Local { verb: "run", path: "gpg".into(), source };
    let mut kept = tempfile::NamedTempFile::new().map_err(failed)?;
    kept.write_all(signature).map_err(failed)?;
    let mut command = Command::new("gpg");
    command.args(["--batch", "--status-fd", "1", "--verify", "--"]).arg(kept.path()).arg(file);
    let output = command.stdin(Stdio::null()).output().map_err(failed)?;
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    let signers: Vec<&str> = status.lines().filter_map(primary_key).collect();
    let known = fingerprints(key).map_err(failed)?;
    let is_known = |signer: &&str| known.iter().any(|known| known == signer);
    // gpg's exit code is 0 for a key that was revoked or has expired as well.
    let is_good = status.lines().any(|line| line.starts_with("[GNUPG:] GOODSIG "));
    match is_good && output.status.success() && !signers.is_empty() && signers.iter().all(is_known)
    {
        true => Ok(()),
        false => {
            Err(Failure::Refused(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
        }
    }
}

/// Of a line `[GNUPG:] VALIDSIG …` the last word, the primary key's fingerprint (doc/DETAILS of GnuPG).
fn primary_key(line: &str) -> Option<&str> {
    line.strip_prefix("[GNUPG:] VALIDSIG ")?.split_whitespace().last()
}

/// The fingerprints of primary keys that are known by this name.
fn fingerprints(key: &str) -> std::io::Result<Vec<String>> {
    let mut command = Command::new("gpg");
    let output = command
        .args(["--batch", "--with-colons", "-k", "--"])
        .arg(key)
        .stdin(Stdio::null())
        .output()?;
    let mut after_primary = false;
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut fields = line.split(':');
        match fields.next() {
            Some("pub") => after_primary = true,
            Some("fpr") if after_primary => {
                found.extend(fields.nth(8).map(str::to_owned));
                after_primary = false;
            }
            _ => {}
        }
    }
    Ok(found)
}
