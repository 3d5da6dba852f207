//! Device nodes of the node that DEVNODES names.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use vz_conf::error::ParseError;

use crate::error::OsText;

/// Where they are: what the kernel has, wherever else the node's files lie.
const DEVICES: &str = "/dev";

/// Checks that every device of a `NAME:ACCESS` list is there, and may be a container's: a loop
/// device reads any file of the node for whoever sets it up.
///
/// # Errors
/// [`ParseError::Devnode`] for the first that is not.
pub fn check(list: &str) -> Result<(), ParseError> {
    let names = list.split_ascii_whitespace().filter_map(|item| item.split_once(':'));
    for (name, _) in names {
        let refuse = |text| Err(ParseError::Devnode(text));
        if name.starts_with("loop") || name.starts_with("ploop") {
            return refuse(format!("Device {name} is not allowed to be assigned to a CT"));
        }
        let path = Path::new(DEVICES).join(name);
        match std::fs::metadata(&path) {
            Err(error) => {
                let (path, error) = (path.display(), OsText(error));
                return refuse(format!("Incorrect device name {path}: {error}"));
            }
            Ok(status)
                if !status.file_type().is_char_device()
                    && !status.file_type().is_block_device() =>
            {
                let path = path.display();
                return refuse(format!("The {path} is not block or character device"));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_what_is_not() {
        assert_eq!(check("null:rw zero:r"), Ok(()));
        let text = |list| check(list).unwrap_err().to_string();
        assert_eq!(
            text("null:rw nonesuch:r"),
            "Incorrect device name /dev/nonesuch: No such file or directory"
        );
        assert_eq!(text("pts:rw"), "The /dev/pts is not block or character device");
        assert_eq!(text("loop0:rw"), "Device loop0 is not allowed to be assigned to a CT");
    }
}
