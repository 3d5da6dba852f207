use std::io::{Read, Seek, Write};

use super::*;

fn node(devices: &Path, private: &Path) -> LoopDevices {
    LoopDevices {
        devices: devices.to_owned(),
        sysfs: PathBuf::from("/sys"),
        private: private.to_owned(),
    }
}

/// The machine's loop devices, if it has any that we may use.
fn machine(test: &str) -> Option<(LoopDevices, tempfile::TempDir)> {
    let private = tempfile::tempdir().unwrap();
    let node = node(Path::new("/dev"), private.path());
    match node.open_control() {
        Ok(_) => Some((node, private)),
        Err(error) => {
            eprintln!("skipped: {test}: {error}");
            None
        }
    }
}

fn image(size: u64) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"image").unwrap();
    file.set_len(size).unwrap();
    file
}

/// The size in bytes, as the block layer has it.
fn size(device: &Device) -> u64 {
    let mut size = 0_u64;
    const BLKGETSIZE64: libc::Ioctl = 0x8008_1272;
    // SAFETY: the kernel writes one u64.
    assert_eq!(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), BLKGETSIZE64, &raw mut size) }, 0);
    size
}

#[test]
fn device_number_is_two_numbers() {
    assert_eq!(parse_numbers("7:16\n"), Some((7, 16)));
    for text in ["", "7", "7:", ":1", "7:x", "-1:0"] {
        assert_eq!(parse_numbers(text), None);
    }
}

#[test]
fn file_is_attached_found_grown_and_detached() {
    let Some((node, _private)) = machine("file_is_attached_found_grown_and_detached") else {
        return;
    };
    let file = image(1 << 20);
    let device = node.attach(file.as_fd(), Options::default()).unwrap();
    let number = device.number();
    assert_eq!(node.find(file.as_fd()).unwrap(), [number]);
    assert_eq!(node.find(image(1 << 20).as_fd()).unwrap(), []);
    let metadata = file.metadata().unwrap();
    let status = device.status().unwrap().unwrap();
    assert_eq!(status.file, (metadata.dev(), metadata.ino()));
    assert!(!status.read_only && !status.autoclear && !status.direct_io);

    let mut content = [0; 5];
    File::from(device.as_fd().try_clone_to_owned().unwrap()).read_exact(&mut content).unwrap();
    assert_eq!(&content, b"image");
    assert_eq!(size(&device), 1 << 20);
    file.set_len(2 << 20).unwrap();
    assert_eq!(size(&device), 1 << 20);
    device.refresh_size().unwrap();
    assert_eq!(size(&device), 2 << 20);

    device.detach().unwrap();
    assert_eq!(node.find(file.as_fd()).unwrap(), []);
}

#[test]
fn options_reach_the_kernel() {
    let Some((node, _private)) = machine("options_reach_the_kernel") else { return };
    let file = image(1 << 20);
    let options =
        Options { read_only: true, autoclear: true, direct_io: true, block_size: Some(4096) };
    let device = node.attach(file.as_fd(), options).unwrap();
    let status = device.status().unwrap().unwrap();
    assert!(status.read_only && status.autoclear);
    // Whether direct I/O is possible is the file system's word: sysfs and ioctl must agree.
    let number = device.number();
    let dio = fs::read_to_string(format!("/sys/block/loop{number}/loop/dio")).unwrap();
    assert_eq!(dio.trim() == "1", status.direct_io);
    let block = fs::read_to_string(format!("/sys/block/loop{number}/queue/logical_block_size"));
    assert_eq!(block.unwrap().trim(), "4096");
    let mut writer = File::from(device.as_fd().try_clone_to_owned().unwrap());
    writer.rewind().unwrap();
    assert!(writer.write_all(&[0; 4096]).and_then(|()| writer.sync_all()).is_err());
    drop((writer, device));
    assert_eq!(node.find(file.as_fd()).unwrap(), []); // autoclear
}

#[test]
fn missing_and_wrong_nodes_are_made_in_private() {
    let name = "missing_and_wrong_nodes_are_made_in_private";
    let Some((_, private)) = machine(name) else { return };
    let devices = tempfile::tempdir().unwrap();
    let node = node(devices.path(), private.path());
    let file = image(1 << 20);
    let options = Options { autoclear: true, ..Options::default() };
    let device = match node.attach(file.as_fd(), options) {
        Err(error) if error.source.raw_os_error() == Some(libc::EACCES) => {
            eprintln!("skipped: {name}: TMPDIR is mounted nodev");
            return;
        }
        attached => attached.unwrap(),
    };
    // A link in the place of the node must not lead anywhere.
    let planted = devices.path().join(format!("loop{}", device.number()));
    std::os::unix::fs::symlink("/dev/null", planted).unwrap();
    assert_eq!(node.find(file.as_fd()).unwrap(), [device.number()]);
    assert_eq!(fs::read_dir(private.path()).unwrap().count(), 0);
}

#[test]
fn many_at_once_get_different_devices() {
    let Some((node, _private)) = machine("many_at_once_get_different_devices") else { return };
    let files: Vec<_> = (0..8).map(|_| image(1 << 16)).collect();
    let options = Options { autoclear: true, ..Options::default() };
    let attach = |file: &File| node.attach(file.as_fd(), options).unwrap();
    let attached: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|file| scope.spawn(|| attach(file))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (file, device) in files.iter().zip(&attached) {
        assert_eq!(node.find(file.as_fd()).unwrap(), [device.number()]);
    }
}

#[test]
fn file_that_cannot_be_a_device_is_refused() {
    let Some((node, _private)) = machine("file_that_cannot_be_a_device_is_refused") else { return };
    let directory = File::open("/").unwrap();
    let error = node.attach(directory.as_fd(), Options::default()).unwrap_err();
    assert_eq!(error.source.raw_os_error(), Some(libc::EINVAL), "{error}");
    assert!(error.to_string().starts_with("attach file to loop"), "{error}");
}
