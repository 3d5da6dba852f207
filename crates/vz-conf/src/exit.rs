//! Exit codes of the tools, as scripts and panels know them (vzerror.h of vzctl).

/// What a tool's exit code says. The number is the discriminant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// The command did what it was asked.
    Success = 0,
    /// A beancounter limit could not be set.
    SetUbcFailed = 1,
    /// A CPU parameter could not be set.
    SetCpuFailed = 2,
    /// A system call failed, or a child was killed.
    SystemError = 3,
    /// The container could not be entered or has no shell.
    EnterFailed = 4,
    /// The kernel lacks something the container needs.
    BadKernel = 5,
    /// No memory, process or control group to be had.
    ResourceError = 6,
    /// The container's environment could not be created.
    CreateEnvironmentFailed = 7,
    /// The command run by exec failed.
    ExecFailed = 8,
    /// Another command holds the container's lock.
    Locked = 9,
    /// The global configuration cannot be read.
    NoGlobalConfig = 10,
    /// A script file is missing.
    NoScript = 11,
    /// The kernel refused access.
    NoAccess = 12,
    /// Capabilities could not be set.
    SetCapabilityFailed = 13,
    /// The container has no configuration file.
    NoContainerConfig = 14,
    /// A script inside the container took too long.
    ExecTimeout = 15,
    /// The container could not be suspended.
    CheckpointFailed = 16,
    /// The container could not be resumed.
    RestoreFailed = 17,
    /// The login uid could not be set.
    SetLoginUidFailed = 18,
    /// The command line is wrong.
    InvalidSyntax = 20,
    /// A value on the command line is wrong.
    InvalidValue = 21,
    /// VE_ROOT is not set.
    RootNotSet = 22,
    /// VE_PRIVATE is not set.
    PrivateNotSet = 23,
    /// TEMPLATE is not set.
    TemplateNotSet = 24,
    /// Parameters are missing.
    NotEnoughParameters = 27,
    /// A required beancounter parameter is missing.
    NotEnoughUbcParameters = 28,
    /// No OS template is named.
    OsTemplateNotSet = 29,
    /// The container is not running.
    NotRunning = 31,
    /// The container is running.
    Running = 32,
    /// The container did not stop.
    StopFailed = 33,
    /// An IP address could not be added.
    AddIpFailed = 34,
    /// The container is not mounted.
    NotMounted = 40,
    /// The container is mounted.
    Mounted = 41,
    /// The private area does not exist.
    NoPrivateArea = 43,
    /// The private area exists already.
    PrivateAreaExists = 44,
    /// There is not enough disk space.
    NoDiskSpace = 46,
    /// The container's tree has no working init, or another owner.
    BadTemplate = 47,
    /// The private area could not be filled.
    UnpackFailed = 48,
    /// The root area could not be created.
    RootAreaFailed = 49,
    /// The container could not be mounted.
    MountFailed = 50,
    /// The container could not be unmounted.
    UmountFailed = 51,
    /// The private area could not be deleted.
    DeletePrivateFailed = 52,
    /// A directory could not be created.
    CreateDirectoryFailed = 54,
    /// Disk quota could not be turned on.
    QuotaOnFailed = 60,
    /// Disk quota could not be initialised.
    QuotaInitFailed = 61,
    /// Disk quota limits could not be set.
    QuotaSetFailed = 62,
    /// DISKSPACE is not set.
    DiskspaceNotSet = 63,
    /// DISKINODES is not set.
    DiskinodesNotSet = 64,
    /// User quota inside the container could not be set.
    SetUserQuotaFailed = 65,
    /// Disk quota could not be turned off.
    QuotaOffFailed = 66,
    /// Second-level disk quota is not initialised.
    UgidQuotaNotInitialised = 67,
    /// A password could not be changed.
    ChangePasswordFailed = 74,
    /// An IP address is in use.
    IpInUse = 78,
    /// An action script failed.
    ActionScriptFailed = 79,
    /// The configuration sample could not be copied.
    CopyConfigFailed = 82,
    /// Device access could not be set.
    SetDevicesFailed = 86,
    /// An IP address is not available.
    IpNotAvailable = 89,
    /// The OS template is not in the cache.
    OsTemplateNotFound = 91,
    /// A control group refused a value.
    ControlGroupInvalid = 96,
    /// Ploop images are not supported here.
    PloopUnsupported = 99,
    /// The container's IP addresses could not be read.
    GetIpFailed = 100,
    /// A network device could not be moved.
    NetdevFailed = 104,
    /// The container is disabled.
    StartDisabled = 105,
    /// There is no distribution configuration.
    NoDistributionConfig = 107,
    /// A configuration sample could not be applied.
    ApplyConfigFailed = 109,
    /// The memory view could not be set.
    SetMeminfoFailed = 129,
    /// A veth device could not be set up.
    VethFailed = 130,
    /// The name could not be assigned.
    SetNameFailed = 131,
    /// The container did not report that it is up.
    WaitFailed = 133,
    /// The configuration could not be saved.
    ConfigSaveFailed = 139,
    /// The kernel release shown inside could not be set.
    SetOsReleaseFailed = 144,
    /// An I/O limit could not be set.
    SetIoFailed = 148,
    /// A ploop image could not be created.
    PloopCreateFailed = 151,
    /// A ploop image could not be mounted.
    PloopMountFailed = 152,
    /// A ploop image could not be unmounted.
    PloopUmountFailed = 153,
    /// A ploop image could not be resized.
    PloopResizeFailed = 154,
    /// A ploop image could not be converted.
    PloopConvertFailed = 155,
    /// A snapshot could not be created.
    SnapshotCreateFailed = 156,
    /// A snapshot could not be merged.
    SnapshotMergeFailed = 157,
    /// A snapshot could not be deleted.
    SnapshotDeleteFailed = 158,
    /// A snapshot could not be switched to.
    SnapshotSwitchFailed = 159,
    /// A snapshot could not be mounted.
    SnapshotMountFailed = 160,
    /// A snapshot could not be unmounted.
    SnapshotUmountFailed = 161,
    /// A ploop image could not be compacted.
    CompactFailed = 166,
    /// Snapshots could not be listed.
    SnapshotListFailed = 167,
}

impl Exit {
    /// Every code, in the order of its number.
    pub const ALL: &[Self] = &[
        Self::Success,
        Self::SetUbcFailed,
        Self::SetCpuFailed,
        Self::SystemError,
        Self::EnterFailed,
        Self::BadKernel,
        Self::ResourceError,
        Self::CreateEnvironmentFailed,
        Self::ExecFailed,
        Self::Locked,
        Self::NoGlobalConfig,
        Self::NoScript,
        Self::NoAccess,
        Self::SetCapabilityFailed,
        Self::NoContainerConfig,
        Self::ExecTimeout,
        Self::CheckpointFailed,
        Self::RestoreFailed,
        Self::SetLoginUidFailed,
        Self::InvalidSyntax,
        Self::InvalidValue,
        Self::RootNotSet,
        Self::PrivateNotSet,
        Self::TemplateNotSet,
        Self::NotEnoughParameters,
        Self::NotEnoughUbcParameters,
        Self::OsTemplateNotSet,
        Self::NotRunning,
        Self::Running,
        Self::StopFailed,
        Self::AddIpFailed,
        Self::NotMounted,
        Self::Mounted,
        Self::NoPrivateArea,
        Self::PrivateAreaExists,
        Self::NoDiskSpace,
        Self::BadTemplate,
        Self::UnpackFailed,
        Self::RootAreaFailed,
        Self::MountFailed,
        Self::UmountFailed,
        Self::DeletePrivateFailed,
        Self::CreateDirectoryFailed,
        Self::QuotaOnFailed,
        Self::QuotaInitFailed,
        Self::QuotaSetFailed,
        Self::DiskspaceNotSet,
        Self::DiskinodesNotSet,
        Self::SetUserQuotaFailed,
        Self::QuotaOffFailed,
        Self::UgidQuotaNotInitialised,
        Self::ChangePasswordFailed,
        Self::IpInUse,
        Self::ActionScriptFailed,
        Self::CopyConfigFailed,
        Self::SetDevicesFailed,
        Self::IpNotAvailable,
        Self::OsTemplateNotFound,
        Self::ControlGroupInvalid,
        Self::PloopUnsupported,
        Self::GetIpFailed,
        Self::NetdevFailed,
        Self::StartDisabled,
        Self::NoDistributionConfig,
        Self::ApplyConfigFailed,
        Self::SetMeminfoFailed,
        Self::VethFailed,
        Self::SetNameFailed,
        Self::WaitFailed,
        Self::ConfigSaveFailed,
        Self::SetOsReleaseFailed,
        Self::SetIoFailed,
        Self::PloopCreateFailed,
        Self::PloopMountFailed,
        Self::PloopUmountFailed,
        Self::PloopResizeFailed,
        Self::PloopConvertFailed,
        Self::SnapshotCreateFailed,
        Self::SnapshotMergeFailed,
        Self::SnapshotDeleteFailed,
        Self::SnapshotSwitchFailed,
        Self::SnapshotMountFailed,
        Self::SnapshotUmountFailed,
        Self::CompactFailed,
        Self::SnapshotListFailed,
    ];

    /// The number the process exits with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The code with this number, if it is one of ours.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|exit| exit.code() == code)
    }

    /// What the code means, as a phrase for the man page.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "the command did what it was asked",
            Self::SetUbcFailed => "a beancounter limit could not be set",
            Self::SetCpuFailed => "a CPU parameter could not be set",
            Self::SystemError => "a system call failed, or a child was killed",
            Self::EnterFailed => "the container could not be entered or has no shell",
            Self::BadKernel => "the kernel lacks something the container needs",
            Self::ResourceError => "no memory, process or control group to be had",
            Self::CreateEnvironmentFailed => "the container's environment could not be created",
            Self::ExecFailed => "the command run by exec failed",
            Self::Locked => "another command holds the container's lock",
            Self::NoGlobalConfig => "the global configuration cannot be read",
            Self::NoScript => "a script file is missing",
            Self::NoAccess => "the kernel refused access",
            Self::SetCapabilityFailed => "capabilities could not be set",
            Self::NoContainerConfig => "the container has no configuration file",
            Self::ExecTimeout => "a script inside the container took too long",
            Self::CheckpointFailed => "the container could not be suspended",
            Self::RestoreFailed => "the container could not be resumed",
            Self::SetLoginUidFailed => "the login uid could not be set",
            Self::InvalidSyntax => "the command line is wrong",
            Self::InvalidValue => "a value on the command line is wrong",
            Self::RootNotSet => "VE_ROOT is not set",
            Self::PrivateNotSet => "VE_PRIVATE is not set",
            Self::TemplateNotSet => "TEMPLATE is not set",
            Self::NotEnoughParameters => "parameters are missing",
            Self::NotEnoughUbcParameters => "a required beancounter parameter is missing",
            Self::OsTemplateNotSet => "no OS template is named",
            Self::NotRunning => "the container is not running",
            Self::Running => "the container is running",
            Self::StopFailed => "the container did not stop",
            Self::AddIpFailed => "an IP address could not be added",
            Self::NotMounted => "the container is not mounted",
            Self::Mounted => "the container is mounted",
            Self::NoPrivateArea => "the private area does not exist",
            Self::PrivateAreaExists => "the private area exists already",
            Self::NoDiskSpace => "there is not enough disk space",
            Self::BadTemplate => "the container's tree has no working init, or another owner",
            Self::UnpackFailed => "the private area could not be filled",
            Self::RootAreaFailed => "the root area could not be created",
            Self::MountFailed => "the container could not be mounted",
            Self::UmountFailed => "the container could not be unmounted",
            Self::DeletePrivateFailed => "the private area could not be deleted",
            Self::CreateDirectoryFailed => "a directory could not be created",
            Self::QuotaOnFailed => "disk quota could not be turned on",
            Self::QuotaInitFailed => "disk quota could not be initialised",
            Self::QuotaSetFailed => "disk quota limits could not be set",
            Self::DiskspaceNotSet => "DISKSPACE is not set",
            Self::DiskinodesNotSet => "DISKINODES is not set",
            Self::SetUserQuotaFailed => "user quota inside the container could not be set",
            Self::QuotaOffFailed => "disk quota could not be turned off",
            Self::UgidQuotaNotInitialised => "second-level disk quota is not initialised",
            Self::ChangePasswordFailed => "a password could not be changed",
            Self::IpInUse => "an IP address is in use",
            Self::ActionScriptFailed => "an action script failed",
            Self::CopyConfigFailed => "the configuration sample could not be copied",
            Self::SetDevicesFailed => "device access could not be set",
            Self::IpNotAvailable => "an IP address is not available",
            Self::OsTemplateNotFound => "the OS template is not in the cache",
            Self::ControlGroupInvalid => "a control group refused a value",
            Self::PloopUnsupported => "ploop images are not supported here",
            Self::GetIpFailed => "the container's IP addresses could not be read",
            Self::NetdevFailed => "a network device could not be moved",
            Self::StartDisabled => "the container is disabled",
            Self::NoDistributionConfig => "there is no distribution configuration",
            Self::ApplyConfigFailed => "a configuration sample could not be applied",
            Self::SetMeminfoFailed => "the memory view could not be set",
            Self::VethFailed => "a veth device could not be set up",
            Self::SetNameFailed => "the name could not be assigned",
            Self::WaitFailed => "the container did not report that it is up",
            Self::ConfigSaveFailed => "the configuration could not be saved",
            Self::SetOsReleaseFailed => "the kernel release shown inside could not be set",
            Self::SetIoFailed => "an I/O limit could not be set",
            Self::PloopCreateFailed => "a ploop image could not be created",
            Self::PloopMountFailed => "a ploop image could not be mounted",
            Self::PloopUmountFailed => "a ploop image could not be unmounted",
            Self::PloopResizeFailed => "a ploop image could not be resized",
            Self::PloopConvertFailed => "a ploop image could not be converted",
            Self::SnapshotCreateFailed => "a snapshot could not be created",
            Self::SnapshotMergeFailed => "a snapshot could not be merged",
            Self::SnapshotDeleteFailed => "a snapshot could not be deleted",
            Self::SnapshotSwitchFailed => "a snapshot could not be switched to",
            Self::SnapshotMountFailed => "a snapshot could not be mounted",
            Self::SnapshotUmountFailed => "a snapshot could not be unmounted",
            Self::CompactFailed => "a ploop image could not be compacted",
            Self::SnapshotListFailed => "snapshots could not be listed",
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn numbers_rise_and_are_found_again() {
        for pair in Exit::ALL.windows(2) {
            assert!(pair[0].code() < pair[1].code(), "{pair:?}");
        }
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code()), Some(*exit));
        }
        assert_eq!(Exit::from_code(19), None);
        assert_eq!(Exit::InvalidValue.code(), 21);
        assert_eq!(Exit::SnapshotListFailed.code(), 167);
    }
}
