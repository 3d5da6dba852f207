//! The virtio-serial ports a node is spoken to through.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Ports of ours are called this and a number.
pub const PREFIX: &str = "vz-node.";

/// The devices of our ports, waited for until the driver has found them (five seconds).
///
/// # Errors
/// There are none.
pub fn find() -> io::Result<Vec<PathBuf>> {
    for _ in 0..250 {
        let ports = below(Path::new("/sys/class/virtio-ports")).unwrap_or_default();
        if !ports.is_empty() {
            return Ok(ports);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "no virtio-serial port named vz-node.N"))
}

fn below(class: &Path) -> io::Result<Vec<PathBuf>> {
    let mut ports = Vec::new();
    for entry in fs::read_dir(class)? {
        let entry = entry?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.starts_with(PREFIX) {
            ports.push(Path::new("/dev").join(entry.file_name()));
        }
    }
    ports.sort();
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ports_of_ours_are_served() {
        let class = tempfile::tempdir().unwrap();
        let files = [("vport1p1", Some("vz-node.0\n")), ("vport1p2", Some("spice\n")), ("x", None)];
        for (port, name) in files {
            fs::create_dir(class.path().join(port)).unwrap();
            if let Some(name) = name {
                fs::OpenOptions::new()
                    .create_new(true)
                    .write(true)
                    .open(class.path().join(port).join("name"))
                    .and_then(|mut file| io::Write::write_all(&mut file, name.as_bytes()))
                    .unwrap();
            }
        }
        assert_eq!(below(class.path()).unwrap(), [PathBuf::from("/dev/vport1p1")]);
    }
}
