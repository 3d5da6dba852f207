//! Unpacks an archive into a directory, to be timed and compared with tar(1):
//! `unpack ARCHIVE DIRECTORY`.

use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(archive), Some(directory), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: unpack ARCHIVE DIRECTORY".into());
    };
    let (archive, directory) = (File::open(archive)?, File::open(directory)?);
    let summary = vz_core::unpack::unpack(archive, directory.as_fd(), &mut |_| {})?;
    println!("{summary:?}");
    Ok(())
}
