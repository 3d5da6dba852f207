//! A booted node kept as memory and disks, from which fresh nodes start.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Error, Result,
    cache::{Cache, Key},
    image::{Image, initramfs},
    machine::{Kind, Machine},
    node::{Home, Node},
    project::Project,
    qemu::{self, Setup},
    tool,
};

/// Longest boot that is waited for.
const BOOT: Duration = Duration::from_secs(180);

const INITRAMFS: &str = "initramfs";
const KERNEL: &str = "vmlinuz";
const BUSYBOX: &str = "/bin/busybox";

/// A saved node.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Holds the kernel, the initramfs, the memory and the disks.
    pub directory: PathBuf,
    /// The node's init system.
    pub flavour: Kind,
}

impl Snapshot {
    /// The snapshot of a freshly booted node, built with all it needs where it is not in the
    /// cache.
    ///
    /// # Errors
    /// A part cannot be built, or the node does not boot.
    pub fn get(project: &Project, home: &Home, flavour: Kind) -> Result<Self> {
        build_agent(project)?;
        let cache = Cache::open(project.state().join("cache"))?;
        let image = Image::get(project, &cache)?;
        let files = project.root().join("tests/node");
        let (init, prepare) = (files.join("initramfs-init"), files.join("node-prepare"));
        let mut key = Key::default();
        key.add(image.key()).add(flavour.name()).add(qemu::RECIPE).add(&qemu::version()?);
        for input in [&init, &prepare, &project.agent(), Path::new(BUSYBOX)] {
            key.add_path(input)?;
        }
        let directory = cache.get(&format!("node-{flavour}"), &key, |part| {
            let inputs = initramfs::Inputs {
                init: &init,
                busybox: Path::new(BUSYBOX),
                agent: &project.agent(),
                modules: &image.modules(),
            };
            initramfs::write(&inputs, &part.join(INITRAMFS))?;
            fs::copy(image.kernel(), part.join(KERNEL)).map_err(Error::file("copy", KERNEL))?;
            for (name, disk) in image.disks() {
                qemu::overlay(&disk_file(part, name), &beside(&disk), "raw")?;
            }
            boot(&prepare, home, &Self { directory: part.into(), flavour })
        })?;
        Ok(Self { directory, flavour })
    }

    /// How a node starts from here.
    pub fn setup(&self, disks: &Path, restore: bool, detached: bool) -> Setup {
        Setup {
            flavour: self.flavour,
            disks: disks.into(),
            kernel: self.directory.join(KERNEL),
            initramfs: self.directory.join(INITRAMFS),
            restore,
            detached,
        }
    }

    /// The memory.
    pub fn memory(&self) -> PathBuf {
        self.directory.join(qemu::MEMORY_FILE)
    }

    /// Makes a node's disks in a directory.
    ///
    /// # Errors
    /// qemu-img(1) fails.
    pub fn make_disks(&self, directory: &Path) -> Result<()> {
        ["root", "data"].into_iter().try_for_each(|name| {
            let backing = disk_file(&self.directory, name);
            qemu::overlay(&disk_file(directory, name), &backing, "qcow2")
        })
    }

    /// Keeps a running node as it is now in a directory; the node ends.
    ///
    /// # Errors
    /// QEMU cannot save it, or a file cannot be moved.
    pub fn take(mut node: Node, directory: &Path) -> Result<Self> {
        let source = node.snapshot().clone();
        let left = node.save()?.to_path_buf();
        move_file(&left.join(qemu::SAVED_FILE), &directory.join(qemu::MEMORY_FILE))?;
        // A node booted for its first snapshot has its disks here already.
        if source.directory != directory {
            for name in ["root", "data"] {
                move_file(&disk_file(&left, name), &disk_file(directory, name))?;
            }
            for file in [KERNEL, INITRAMFS] {
                let (from, to) = (source.directory.join(file), directory.join(file));
                fs::copy(from, &to).map_err(Error::file("copy to", to))?;
            }
        }
        node.stop()?;
        Ok(Self { directory: directory.into(), flavour: source.flavour })
    }
}

/// Boots from the image's disks, prepares, and saves what has become of it.
fn boot(prepare: &Path, home: &Home, unsaved: &Snapshot) -> Result<()> {
    let name = format!("boot-{}", unsaved.flavour);
    let node = Node::boot(home, &name, unsaved, BOOT)?;
    let script = fs::File::open(prepare).map_err(Error::file("open", prepare))?;
    node.connect()?.call(&["sh", "-s"], script)?;
    node.connect()?.call(&["sync"], io::empty())?;
    Snapshot::take(node, &unsaved.directory).map(drop)
}

/// Builds the agent, static, whatever the runner itself was built for.
///
/// # Errors
/// cargo fails.
pub fn build_agent(project: &Project) -> Result<()> {
    let mut command =
        tool::command(&["cargo", "build", "--quiet", "--release", "-p", "vz-node-agent"]);
    tool::run(command.current_dir(project.root())).map(drop)
}

fn move_file(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::file("rename to", to))
}

fn disk_file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.qcow2"))
}

/// A file of a neighbouring directory, named from this one: a cache may be moved as a whole,
/// and is built under another name than it has in the end.
fn beside(path: &Path) -> PathBuf {
    let names = path.components().rev().take(2).collect::<Vec<_>>();
    names.into_iter().rev().fold(PathBuf::from(".."), |path, name| path.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backing_file_is_named_from_the_disk() {
        assert_eq!(
            beside(Path::new("/x/cache/image-1/root.ext4")),
            Path::new("../image-1/root.ext4")
        );
    }
}
