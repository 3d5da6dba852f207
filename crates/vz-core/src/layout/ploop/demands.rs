//! What the superblock of an image may not ask of the node. An image may come from elsewhere, with
//! anything in it; and the kernel, like e2fsprogs, does what a superblock says.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use vz_conf::exit::Exit;
use vz_conf::mount_options::MountOptions;
use vz_sys::file_system::{self, Demands};

use crate::error::{Context, Error, Result};

/// The bytes that there is room for in a superblock: as many have no end, which a kernel may stumble over.
const ROOM: usize = 64;

/// Refuses an image that would have another device of the node written to, whoever mounts it wait for
/// minutes, or be mounted with options that MOUNT_OPTS may not have either. What else is wrong with it
/// the kernel or e2fsck says.
///
/// # Errors
/// What it asks for, and how it can be taken out of it.
pub fn refuse_harmful(image: &Path) -> Result<()> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(image);
    let file = file.at(Exit::PloopMountFailed, "Cannot open the image", image)?;
    let demands = file_system::ext4_demands(&file);
    let demands = demands.at(Exit::PloopMountFailed, "Cannot read", image)?;
    match demands.as_ref().and_then(harm) {
        None => Ok(()),
        Some((what, cure)) => Err(Error::Refused(
            Exit::PloopMountFailed,
            format!("The file system in {} {what}: run '{cure}' on it", image.display()),
        )),
    }
}

fn harm(demands: &Demands) -> Option<(String, &'static str)> {
    if demands.external_journal {
        return Some(("has its journal on another device".into(), "tune2fs -f -O ^has_journal"));
    }
    if demands.mount_protection {
        return Some(("is protected against being mounted twice".into(), "tune2fs -f -O ^mmp"));
    }
    let text = String::from_utf8_lossy(&demands.mount_options);
    let is_known = demands.mount_options.len() < ROOM && text.parse::<MountOptions>().is_ok();
    let what = || format!("has mount options that are not allowed ('{}')", text.escape_debug());
    (!is_known).then(|| (what(), "tune2fs -E mount_opts="))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    use super::*;

    fn run(program: &str, arguments: &[&str], image: &Path) {
        let mut command = Command::new(program);
        let output = command.args(arguments).arg(image).output().unwrap();
        assert!(output.status.success(), "{arguments:?} {output:?}");
    }

    fn refused(image: &Path) -> String {
        refuse_harmful(image).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_reaches_out_of_the_image_is_refused_until_it_is_cured() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let image = file.path();
        assert_eq!(refused(image), "");
        file.as_file().set_len(32 << 20).unwrap();
        run("mke2fs", &["-q", "-F", "-t", "ext4"], image);
        assert_eq!(refused(image), "");
        run("tune2fs", &["-E", "mount_opts=data=journal"], image);
        assert_eq!(refused(image), "");
        for options in ["journal_path=/dev/null", "errors=panic", "dax"] {
            run("tune2fs", &["-E", &format!("mount_opts={options}")], image);
            let text = refused(image);
            assert!(text.contains(options) && text.contains("'tune2fs -E mount_opts='"), "{text}");
        }
        run("tune2fs", &["-E", "mount_opts="], image);
        assert_eq!(refused(image), "");
        run("tune2fs", &["-O", "mmp"], image);
        assert!(refused(image).contains("twice: run 'tune2fs -f -O ^mmp'"));
        run("tune2fs", &["-f", "-O", "^mmp"], image);
        assert_eq!(refused(image), "");
        // s_journal_dev
        file.as_file().write_all_at(&[1, 7, 0, 0], 1024 + 0xe4).unwrap();
        assert!(refused(image).contains("has its journal on another device"));
    }

    #[test]
    fn options_without_an_end_are_refused() {
        let demands = |mount_options: Vec<u8>| Demands {
            external_journal: false,
            mount_protection: false,
            mount_options,
        };
        let commas = |count| demands(vec![b','; count]);
        assert_eq!(harm(&commas(ROOM - 1)), None);
        assert!(harm(&commas(ROOM)).is_some());
        assert!(harm(&demands(vec![0xff])).is_some());
    }
}
