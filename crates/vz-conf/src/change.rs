//! What the options of `vzctl set` and `vzctl create` ask for, and how it is saved.

use std::fmt;

use thiserror::Error;

use crate::config::{Config, Taken};
use crate::context::Context;
use crate::cpumask::CpuMask;
use crate::device::PciList;
use crate::error::ParseError;
use crate::exit::Exit;
use crate::file::ConfFile;
use crate::ipaddr::AddressList;
use crate::layout::Layout;
use crate::list::{BLANKS, WordList, first_word, parse_netdevs, words};
use crate::netif::{NAME_MAX, NetifEdit, NetifList};
use crate::param::{self, Kind, Param, ParamId};
use crate::quote;
use crate::size::IolimitUnit;
use crate::ubc::{BarrierLimit, Resource};

/// An option as it was typed, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionName {
    /// A long option, in full and without its dashes.
    Long(&'static str),
    /// A short option.
    Short(char),
}

impl fmt::Display for OptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long(name) => write!(f, "--{name}"),
            // The blank is the original's.
            Self::Short(letter) => write!(f, "-{letter} "),
        }
    }
}

/// An option's value that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    /// The value is none; `remark` is a line of its own that comes first.
    #[error("{}Bad parameter for {option}: {value}", remark_line(.cause))]
    Bad {
        /// The option.
        option: OptionName,
        /// The value, up to where reading it stopped.
        value: String,
        /// Why.
        cause: ParseError,
    },
    /// `--ram` and `--swap` on a node that cannot limit them, without `--force` before them.
    #[error(
        "Error: kernel does not support vswap, unable to use --ram/--swap parameters\n\
         Error parsing options"
    )]
    NoVswap,
}

/// The line before the message, with its newline.
fn remark_line(cause: &ParseError) -> String {
    cause.remark().map(|(_, text)| text + "\n").unwrap_or_default()
}

impl ValueError {
    /// The line that comes before the message and its log level (0: standard output).
    #[must_use]
    pub fn remark(&self) -> Option<(i8, String)> {
        match self {
            Self::Bad { cause, .. } => cause.remark(),
            Self::NoVswap => None,
        }
    }

    /// The message without the line before it.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Bad { option, value, .. } => format!("Bad parameter for {option}: {value}"),
            Self::NoVswap => self.to_string(),
        }
    }

    /// What the tool exits with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Bad { .. } => Exit::InvalidValue,
            Self::NoVswap => Exit::SystemError,
        }
    }
}

/// Options that do not go together, or not with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckError {
    /// An interface is to be changed, but which?
    #[error("Invalid usage.  Option --ifname not specified")]
    NoIfname,
    /// An interface is to be changed that there is not.
    #[error("Invalid usage: veth device {0} is not configured, use --netif_add option first")]
    UnknownIfname(String),
    /// `--reset_ub` with another option.
    #[error("Error: option --reset_ub is exclusive")]
    ResetUbExclusive,
    /// RAM would have a limit, and swap none.
    #[error("Error: required UB parameter (swap) not set")]
    NoSwap,
    /// `--offline-resize` with nothing to resize to.
    #[error("Error: option --offline-resize can only be used with --diskspace")]
    NothingToResize,
    /// `--nodemask` alone.
    #[error("Error: option --nodemask requires --cpumask")]
    NodemaskAlone,
    /// `--cpumask auto` alone.
    #[error("Error: --cpumask auto requires --nodemask")]
    AutoWithoutNodemask,
    /// `--name` without `--save`.
    #[error("Error: unable to use --name option without --save")]
    NameUnsaved,
    /// `--ostemplate` or `--stop-timeout` without `--save`.
    #[error("Error: unable to use --{0} option without --save")]
    OptionUnsaved(&'static str),
    /// `--force` without `--save`.
    #[error("Error: --force is useless without --save")]
    ForceUnsaved,
    /// `--diskspace` of an image without `--save`.
    #[error("Error: can't use --diskspace without --save for a ploop-based container")]
    PloopUnsaved,
    /// `--setmode restart` without `--save`.
    #[error("Error: --setmode restart doesn't make sense without --save flag")]
    RestartUnsaved,
}

impl CheckError {
    /// What the tool exits with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoSwap => Exit::NotEnoughUbcParameters,
            Self::NameUnsaved => Exit::SetNameFailed,
            _ => Exit::InvalidSyntax,
        }
    }
}

/// A value that cannot be saved. Values that came through [`Change::apply`] can.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Unable to store {key}: {cause}")]
pub struct StoreError {
    /// The key.
    pub key: &'static str,
    /// Why.
    pub cause: ParseError,
}

/// What `--setmode` does about values that need a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetMode {
    /// Restarts the container.
    Restart,
    /// Leaves everything as it is.
    Ignore,
}

/// What one command line asks for.
///
/// Of a scalar given twice the first counts, of a beancounter the last; lists grow.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// The values given; of lists, what is added. Create sets its own values here as well.
    pub values: Config,
    /// `--ipdel` addresses.
    pub ip_removed: AddressList,
    /// `--ipdel all`: with added ones, the list is replaced.
    pub ip_all_removed: bool,
    /// `--netdev_del`.
    pub netdev_removed: WordList,
    /// `--pci_del`.
    pub pci_removed: PciList,
    /// `--netif_del` names.
    pub netif_removed: Vec<String>,
    /// `--netif_del all`.
    pub netif_all_removed: bool,
    /// `--ifname` and what goes with it.
    pub netif_edit: NetifEdit,
    /// `--userpasswd`, each `USER:PASSWORD`.
    pub userpasswd: Vec<String>,
    /// `--applyconfig`.
    pub applyconfig: Option<String>,
    /// `--applyconfig_map name`.
    pub applyconfig_map: bool,
    /// `--setmode`.
    pub setmode: Option<SetMode>,
    /// `--save`.
    pub save: bool,
    /// `--force`.
    pub force: bool,
    /// `--reset_ub`.
    pub reset_ub: bool,
    /// `--skip_arpdetect`.
    pub skip_arpdetect: bool,
    /// `--offline-resize`.
    pub offline_resize: bool,
    /// The parameters given, in order.
    given: Vec<ParamId>,
}

impl Change {
    /// Nothing asked for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The parameters given, in order, with repetitions.
    #[must_use]
    pub fn given(&self) -> &[ParamId] {
        &self.given
    }

    /// Whether a parameter was given.
    #[must_use]
    pub fn has(&self, id: ParamId) -> bool {
        self.given.contains(&id)
    }

    /// Takes one option. `value` is ignored by an option that has none.
    ///
    /// # Errors
    /// [`ValueError`] when the value is none, or cannot be kept in one line of a file.
    pub fn apply(
        &mut self,
        param: &Param,
        option: OptionName,
        value: &str,
        context: &Context,
    ) -> Result<(), ValueError> {
        if param.kind == Kind::Memory && !context.vswap && !self.force {
            return Err(ValueError::NoVswap);
        }
        let taken = match quote::check(value) {
            Ok(()) => self.take(param.id, value, context),
            Err(error) => Err(error),
        };
        let refused = match taken {
            Ok(Taken { truncated: true, .. }) => Some(ParseError::TooLarge),
            Ok(taken) => taken.left_out.into_iter().next(),
            Err(error) => Some(error),
        };
        match refused {
            None => {
                self.given.push(param.id);
                Ok(())
            }
            Some(cause) => {
                let separators = match param.id {
                    ParamId::Netif => &[' '],
                    _ => param.kind.separators(),
                };
                let value = first_word(value, separators).to_owned();
                Err(ValueError::Bad { option, value, cause })
            }
        }
    }

    /// Takes a value: those that are more than a key's, then those that are just that.
    fn take(&mut self, id: ParamId, text: &str, context: &Context) -> Result<Taken, ParseError> {
        match id {
            ParamId::IpDel => self.take_ipdel(text)?,
            ParamId::NetdevDel => self.netdev_removed.add(&parse_netdevs(text)?.to_string())?,
            ParamId::PciDel => self.pci_removed.add(text)?,
            ParamId::Userpasswd => {
                self.userpasswd.extend(words(text, BLANKS).map(str::to_owned));
            }
            ParamId::Ram => self.take_memory(Resource::Physpages, text)?,
            ParamId::Swap => self.take_memory(Resource::Swappages, text)?,
            ParamId::Applyconfig => {
                self.applyconfig.get_or_insert_with(|| text.to_owned());
            }
            ParamId::ApplyconfigMap if text == "name" => self.applyconfig_map = true,
            ParamId::ApplyconfigMap => return Err(ParseError::Syntax),
            ParamId::Setmode => self.setmode = Some(parse_setmode(text)?),
            ParamId::Save => self.save = true,
            ParamId::Force => self.force = true,
            ParamId::ResetUb => self.reset_ub = true,
            ParamId::SkipArpdetect => self.skip_arpdetect = true,
            ParamId::OfflineResize => self.offline_resize = true,
            ParamId::Netif => {
                let mut added = self.values.netif.take().unwrap_or_default();
                added.add_option(text, context)?;
                // An empty value asks for nothing.
                self.values.netif = (!added.is_empty()).then_some(added);
            }
            ParamId::NetifDel => self.take_netif_del(text)?,
            ParamId::NetifIfname => self.netif_edit.set_ifname(text)?,
            ParamId::NetifMac => self.netif_edit.mac = Some(NetifEdit::parse_mac(text)?),
            ParamId::NetifHostIfname => self.netif_edit.set_host_ifname(text)?,
            ParamId::NetifHostMac => self.netif_edit.host_mac = Some(NetifEdit::parse_mac(text)?),
            ParamId::NetifBridge => self.netif_edit.set_bridge(text)?,
            ParamId::NetifMacFilter => self.netif_edit.set_mac_filter(text)?,
            ParamId::Iolimit => {
                return self.values.assign_iolimit(text, IolimitUnit::Megabytes);
            }
            _ => return self.values.assign(id, text, context),
        }
        Ok(Taken::default())
    }

    fn take_ipdel(&mut self, text: &str) -> Result<(), ParseError> {
        for word in words(text, BLANKS) {
            match word {
                "all" => self.ip_all_removed = true,
                word => self.ip_removed.add(word)?,
            }
        }
        Ok(())
    }

    fn take_memory(&mut self, resource: Resource, text: &str) -> Result<(), ParseError> {
        self.values.ubc.set(resource, Some(BarrierLimit::parse_vswap(text)?));
        Ok(())
    }

    fn take_netif_del(&mut self, text: &str) -> Result<(), ParseError> {
        match text {
            "all" => self.netif_all_removed = true,
            name if name.len() > NAME_MAX => return Err(ParseError::Name),
            name => self.netif_removed.push(name.to_owned()),
        }
        Ok(())
    }

    /// Takes the values of a configuration sample: they count before those of the command line,
    /// but for what makes a container itself.
    pub fn apply_sample(&mut self, name: &str, sample: &Config) {
        let mut sample = Config {
            ve_root: None,
            ve_private: None,
            ostemplate: None,
            hostname: None,
            description: None,
            ip_address: None,
            ve_layout: None,
            overlay_template: None,
            local_uid: None,
            local_gid: None,
            ..sample.clone()
        };
        // The original loses it here.
        sample.ubc.set(Resource::Avnumproc, None);
        sample.origin_sample.get_or_insert_with(|| name.to_owned());
        self.values = self.values.overlaid_with(&sample);
    }

    /// Checks that the options go together and with the merged configuration `current`. The
    /// first that does not is returned.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn check(&self, current: &Config) -> Result<(), CheckError> {
        self.check_netif(current)?;
        let fails = |condition: bool, error| if condition { Err(error) } else { Ok(()) };
        let others = self.given.iter().any(|id| *id != ParamId::ResetUb);
        fails(self.reset_ub && others, CheckError::ResetUbExclusive)?;
        let ubc = current.ubc.merged_with(&self.values.ubc);
        fails(ubc.is_vswap() && ubc.get(Resource::Swappages).is_none(), CheckError::NoSwap)?;
        let diskspace = self.values.diskspace.is_some();
        fails(self.offline_resize && !diskspace, CheckError::NothingToResize)?;
        let (cpumask, nodemask) = (&self.values.cpumask, &self.values.nodemask);
        fails(nodemask.is_some() && cpumask.is_none(), CheckError::NodemaskAlone)?;
        let auto = *cpumask == Some(CpuMask::Auto);
        fails(auto && nodemask.is_none(), CheckError::AutoWithoutNodemask)?;
        if self.save {
            return Ok(());
        }
        let ploop = matches!(current.ve_layout, Some(Layout::Ploop(_)));
        let restart = self.setmode == Some(SetMode::Restart);
        fails(self.has(ParamId::Name), CheckError::NameUnsaved)?;
        fails(self.has(ParamId::Ostemplate), CheckError::OptionUnsaved("ostemplate"))?;
        fails(self.has(ParamId::StopTimeout), CheckError::OptionUnsaved("stop-timeout"))?;
        fails(self.force, CheckError::ForceUnsaved)?;
        fails(ploop && diskspace, CheckError::PloopUnsaved)?;
        fails(restart, CheckError::RestartUnsaved)
    }

    /// Checks that the interface to be changed is there.
    fn check_netif(&self, current: &Config) -> Result<(), CheckError> {
        if self.netif_edit.is_empty() {
            return Ok(());
        }
        let name = self.netif_edit.ifname.as_ref().ok_or(CheckError::NoIfname)?;
        let has =
            |list: &Option<NetifList>| list.as_ref().is_some_and(|list| list.get(name).is_some());
        match has(&self.values.netif) || has(&current.netif) {
            true => Ok(()),
            false => Err(CheckError::UnknownIfname(name.clone())),
        }
    }

    /// The configuration after this change. `current` is the container's own, or that over the
    /// node's.
    #[must_use]
    pub fn apply_to(&self, current: &Config) -> Config {
        let mut after = current.overlaid_with(&self.values);
        if self.changes_addresses() {
            after.ip_address = Some(self.addresses_after(current));
        }
        if self.values.netdev.is_some() || !self.netdev_removed.is_empty() {
            let (old, new) = (or_empty(&current.netdev), or_empty(&self.values.netdev));
            after.netdev = Some(old.merged(&new, &self.netdev_removed));
        }
        if self.values.pci.is_some() || !self.pci_removed.is_empty() {
            let (old, new) = (or_empty(&current.pci), or_empty(&self.values.pci));
            after.pci = Some(old.merged(&new, &self.pci_removed));
        }
        if current.devices.is_some() || self.values.devices.is_some() {
            let (old, new) = (or_empty(&current.devices), or_empty(&self.values.devices));
            after.devices = Some(old.merged(&new));
        }
        if current.devnodes.is_some() || self.values.devnodes.is_some() {
            let (old, new) = (or_empty(&current.devnodes), or_empty(&self.values.devnodes));
            after.devnodes = Some(old.merged(&new));
        }
        if let (Some(old), Some(new)) = (current.capability, self.values.capability) {
            after.capability = Some(old.merged_with(new));
        }
        if let (Some(old), Some(new)) = (current.features, self.values.features) {
            after.features = Some(old.merged_with(new));
        }
        if self.changes_netif() {
            after.netif = Some(self.netif_after(current));
        }
        after
    }

    /// Whether beancounters are given.
    #[must_use]
    pub fn changes_beancounters(&self) -> bool {
        Resource::ALL.iter().any(|resource| self.values.ubc.get(*resource).is_some())
    }

    /// Whether network devices of the node are given or taken.
    #[must_use]
    pub fn changes_netdevs(&self) -> bool {
        !self.netdev_removed.is_empty() || self.values.netdev.is_some()
    }

    /// Whether PCI devices are given or taken.
    #[must_use]
    pub fn changes_pci(&self) -> bool {
        !self.pci_removed.is_empty() || self.values.pci.is_some()
    }

    /// Whether interfaces are added or changed.
    #[must_use]
    pub fn adds_interfaces(&self) -> bool {
        self.values.netif.is_some() || !self.netif_edit.is_empty()
    }

    /// Whether addresses are added or removed.
    #[must_use]
    pub fn changes_addresses(&self) -> bool {
        self.ip_all_removed || self.values.ip_address.is_some() || !self.ip_removed.is_empty()
    }

    fn addresses_after(&self, current: &Config) -> AddressList {
        let old = match self.ip_all_removed {
            true => AddressList::default(),
            false => or_empty(&current.ip_address),
        };
        old.merged(&or_empty(&self.values.ip_address), &self.ip_removed)
    }

    /// Whether interfaces are added, changed or removed.
    #[must_use]
    pub fn changes_netif(&self) -> bool {
        let removed = self.netif_all_removed || !self.netif_removed.is_empty();
        removed || self.adds_interfaces()
    }

    fn netif_after(&self, current: &Config) -> NetifList {
        let old = match self.netif_all_removed {
            true => NetifList::default(),
            false => or_empty(&current.netif),
        };
        let mut added = or_empty(&self.values.netif);
        let completed = added.complete(&self.netif_edit);
        let mut after = old.merged(&added, &self.netif_removed);
        if !completed {
            after.edit(&self.netif_edit);
        }
        after
    }

    /// Writes the change into a container's file, whose own values are `current`: what was
    /// asked for, and the layout and the devices on every save, as ever. Says how many keys
    /// were written.
    ///
    /// # Errors
    /// [`StoreError`] when a value cannot stand in one line.
    pub fn store_into(&self, current: &Config, file: &mut ConfFile) -> Result<usize, StoreError> {
        let after = self.apply_to(current);
        let mut written = 0;
        for param in param::in_save_order() {
            let (Some(key), Some(value)) = (param.key, self.to_store(param.id, current, &after))
            else {
                continue;
            };
            file.set(key, &value).map_err(|cause| StoreError { key, cause })?;
            written += 1;
        }
        Ok(written)
    }

    /// What is written for a parameter, if anything.
    fn to_store(&self, id: ParamId, current: &Config, after: &Config) -> Option<String> {
        let old_device = current.devices.is_some() || current.devnodes.is_some();
        let new_device = self.values.devices.is_some() || self.values.devnodes.is_some();
        let is_written = match id {
            // Neither is ever a container's own.
            ParamId::Configfile | ParamId::Script(_) => false,
            ParamId::VeLayout => true,
            ParamId::IpAddress => self.changes_addresses(),
            ParamId::Netif => self.changes_netif(),
            ParamId::Netdev => self.changes_netdevs(),
            ParamId::Pci => self.changes_pci(),
            ParamId::Devices | ParamId::Devnodes => {
                let value = after.stored(id).unwrap_or_default();
                // One list that changes where there was any writes the other one too.
                return (!value.is_empty() || (old_device && new_device)).then_some(value);
            }
            _ => self.values.stored(id).is_some(),
        };
        if is_written { after.stored(id) } else { None }
    }
}

/// A list, or an empty one.
fn or_empty<T: Clone + Default>(list: &Option<T>) -> T {
    list.clone().unwrap_or_default()
}

fn parse_setmode(text: &str) -> Result<SetMode, ParseError> {
    match text {
        "restart" => Ok(SetMode::Restart),
        "ignore" => Ok(SetMode::Ignore),
        _ => Err(ParseError::Syntax),
    }
}
