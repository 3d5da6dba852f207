//! The initramfs: busybox, the modules, the agent and the first process, as a "newc" cpio archive
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::{fs, path::Path};

use crate::{Error, Result, cache};

const DIRECTORIES: &[&str] = &["bin", "proc", "sys", "dev", "modules", "sysroot"];
const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// What goes in.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The first process, a script for busybox.
    pub init: &'a Path,
    /// A static busybox.
    pub busybox: &'a Path,
    /// The agent, static too.
    pub agent: &'a Path,
    /// The directory of modules with its `order`.
    pub modules: &'a Path,
}

/// Writes the archive.
///
/// # Errors
/// An input cannot be read, the output not written.
pub fn write(inputs: &Inputs<'_>, output: &Path) -> Result<()> {
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.add(directory, DIRECTORY, &[]);
    }
    let programs =
        [("init", inputs.init), ("bin/busybox", inputs.busybox), ("agent", inputs.agent)];
    for (name, path) in programs {
        archive.add(name, PROGRAM, &read(path)?);
    }
    for path in cache::sorted_entries(inputs.modules)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archive.add(&format!("modules/{name}"), FILE, &read(&path)?);
    }
    fs::write(output, archive.finish()).map_err(Error::file("write", output))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::file("read", path))
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    inodes: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inodes += 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // ino mode uid gid nlink mtime filesize maj min rmaj rmin namesize check
        let fields = [self.inodes, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").into_bytes());
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    #[test]
    fn cpio_reads_what_is_written() {
        let mut archive = Archive::default();
        archive.add("bin", DIRECTORY, &[]);
        archive.add("bin/x", PROGRAM, b"#!/bin/sh\n");
        archive.add("y", FILE, b"12345");
        let mut cpio = Command::new("cpio")
            .args(["-it", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cpio.stdin.take().unwrap().write_all(&archive.finish()).unwrap();
        let output = cpio.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "bin\nbin/x\ny\n");
    }
}
