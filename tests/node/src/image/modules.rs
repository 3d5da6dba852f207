//! Kernel modules the node's first process loads. Formats: modules.dep(5), modules.builtin(5).

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result, cache, tool};

/// What the root file system and the agent need before anything else runs. quota_v2 must be
/// there before a file system with project quota is mounted: the kernel does not load it then.
const WANTED: &[&str] =
    &["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "ext4", "quota_v2"];

/// Copies the modules with all they depend on from `tree` into `directory`, unpacked, and writes
/// the file `order` that lists them as they must be loaded.
///
/// # Errors
/// A module is neither a file nor built in, or cannot be copied.
pub fn copy(tree: &Path, release: &str, directory: &Path) -> Result<()> {
    let base = tree.join("usr/lib/modules").join(release);
    let read = |name: &str| {
        fs::read_to_string(base.join(name)).map_err(Error::file("read", base.join(name)))
    };
    let files = order(WANTED, &read("modules.dep")?, &read("modules.builtin")?)?;
    cache::make_directory(directory)?;
    let mut names = Vec::new();
    for file in files {
        names.push(unpack(&base.join(file), directory)?);
    }
    let list = directory.join("order");
    fs::write(&list, names.join("\n") + "\n").map_err(Error::file("write", &list))
}

/// Files to load, each after those it depends on.
fn order(wanted: &[&str], dependencies: &str, builtin: &str) -> Result<Vec<String>> {
    let mut files: Vec<String> = Vec::new();
    for module in wanted {
        let line = dependencies.lines().filter_map(|line| line.split_once(':'));
        let found = line.into_iter().find(|(file, _)| module_name(file) == *module);
        let Some((file, needs)) = found else {
            if builtin.lines().any(|file| module_name(file) == *module) {
                continue;
            }
            return Err(Error::Module((*module).into()));
        };
        // depmod writes the nearest dependency first: the last one is loaded first.
        for file in needs.split_whitespace().rev().chain([file]) {
            if !files.iter().any(|known| known == file) {
                files.push(file.into());
            }
        }
    }
    Ok(files)
}

/// `kernel/drivers/virtio-rng.ko.xz` is the module virtio_rng.
fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

fn unpack(file: &Path, directory: &Path) -> Result<String> {
    let name = format!("{}.ko", module_name(&file.to_string_lossy()));
    let content = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => tool::run(tool::command(&["xz", "-dc"]).arg(file))?,
        Some("zst") => tool::run(tool::command(&["zstd", "-dcq"]).arg(file))?,
        _ => fs::read(file).map_err(Error::file("read", file))?,
    };
    let copy = directory.join(&name);
    fs::write(&copy, content).map_err(Error::file("write", &copy))?;
    Ok(name)
}

/// The only kernel release in a tree.
///
/// # Errors
/// There is none, or more than one.
pub fn release(tree: &Path) -> Result<String> {
    let directory = tree.join("usr/lib/modules");
    let entries: Vec<PathBuf> = cache::sorted_entries(&directory)?;
    match &*entries {
        [one] => Ok(one.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        _ => {
            let reason = format!("{} kernel releases where one was expected", entries.len());
            Err(Error::Content { path: directory, reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "kernel/fs/quota/quota_v2.ko.xz: kernel/fs/quota/quota_tree.ko.xz\n\
                                kernel/net/a.ko.xz: kernel/net/b.ko.xz kernel/net/c.ko.xz\n\
                                kernel/drivers/virtio-rng.ko.xz:\n";

    #[test]
    fn a_module_comes_after_what_it_needs() {
        assert_eq!(
            order(&["quota_v2", "a", "ext4", "virtio_rng"], DEPENDENCIES, "kernel/fs/ext4.ko\n")
                .unwrap(),
            [
                "kernel/fs/quota/quota_tree.ko.xz",
                "kernel/fs/quota/quota_v2.ko.xz",
                "kernel/net/c.ko.xz",
                "kernel/net/b.ko.xz",
                "kernel/net/a.ko.xz",
                "kernel/drivers/virtio-rng.ko.xz",
            ]
        );
    }

    #[test]
    fn a_module_that_is_nowhere_is_an_error() {
        let error = order(&["xfs"], DEPENDENCIES, "").unwrap_err();
        assert_eq!(error.to_string(), "find kernel module xfs: neither built in nor a file");
    }
}
