//! quotactl(2) as somebody else has asked for it: the command and its data as they are.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Owner, Q_GETINFO, Q_GETNEXTQUOTA, Q_GETQUOTA, Q_SETINFO, Q_SETQUOTA, quotactl};

const Q_SYNC: u32 = 0x80_0001;
const Q_QUOTAON: u32 = 0x80_0002;
const Q_QUOTAOFF: u32 = 0x80_0003;
const Q_GETFMT: u32 = 0x80_0004;

/// Room for the data of every [`Command`].
pub type Data = [u8; 72];

/// What is asked of quotas of users or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `Q_SYNC`
    Sync,
    /// `Q_QUOTAON`: limits are enforced from now on.
    On,
    /// `Q_QUOTAOFF`: they are not.
    Off,
    /// `Q_GETFMT`
    Format,
    /// `Q_GETINFO`: grace periods.
    Info,
    /// `Q_SETINFO`
    SetInfo,
    /// `Q_GETQUOTA`: limits and usage of one.
    Get,
    /// `Q_SETQUOTA`
    Set,
    /// `Q_GETNEXTQUOTA`: of the first from one on.
    GetNext,
}

impl Command {
    /// Of a number of linux/quota.h, the upper bits of quotactl(2)'s `cmd`.
    pub fn from_number(number: u32) -> Option<Command> {
        Some(match number {
            Q_SYNC => Command::Sync,
            Q_QUOTAON => Command::On,
            Q_QUOTAOFF => Command::Off,
            Q_GETFMT => Command::Format,
            Q_GETINFO => Command::Info,
            Q_SETINFO => Command::SetInfo,
            Q_GETQUOTA => Command::Get,
            Q_SETQUOTA => Command::Set,
            Q_GETNEXTQUOTA => Command::GetNext,
            _ => return None,
        })
    }

    fn number(self) -> u32 {
        match self {
            Command::Sync => Q_SYNC,
            Command::On => Q_QUOTAON,
            Command::Off => Q_QUOTAOFF,
            Command::Format => Q_GETFMT,
            Command::Info => Q_GETINFO,
            Command::SetInfo => Q_SETINFO,
            Command::Get => Q_GETQUOTA,
            Command::Set => Q_SETQUOTA,
            Command::GetNext => Q_GETNEXTQUOTA,
        }
    }

    /// How many bytes of data it reads.
    pub fn takes(self) -> usize {
        match self {
            Command::SetInfo => 24,
            Command::Set => 72,
            _ => 0,
        }
    }

    /// How many bytes of data it writes.
    pub fn gives(self) -> usize {
        match self {
            Command::Format => 4,
            Command::Info => 24,
            Command::Get | Command::GetNext => 72,
            _ => 0,
        }
    }
}

/// Does it on the file system of `file`, one whose quotas are in files of its own that no path leads
/// to: [`Command::On`] names none. Needs CAP_SYS_ADMIN of the node.
///
/// # Errors
/// Those of quotactl(2).
pub fn call(
    file: BorrowedFd<'_>,
    owner: Owner,
    command: Command,
    id: u32,
    data: &mut Data,
) -> io::Result<()> {
    // SAFETY: none of the commands reads or writes more than `Data` holds (`struct if_nextdqblk`).
    unsafe { quotactl(file, owner.kind(), command.number(), id, data) }
}
