//! Running the scripts of distribution actions inside a container.

use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_conf::yesno::YesNo;

use super::environment::{self, State, Variable};
use super::{Action, Distribution};
use crate::cancel;
use crate::container::Container;
use crate::description::PATH;
use crate::error::{Error, Result};
use crate::lifecycle::exec::Entrance;
use crate::lifecycle::script::{self, Script};
use crate::report::Report;

/// A container to run a distribution's scripts in, its init or first process there.
pub struct Inside<'a, 'n> {
    pub(super) container: &'a Container<'n>,
    pub(super) distribution: &'a Distribution,
    entrance: Entrance<'a>,
    pub(super) state: State,
}

impl<'a, 'n> Inside<'a, 'n> {
    /// Finds the way in.
    ///
    /// # Errors
    /// As [`Entrance::find`].
    pub fn find(
        container: &'a Container<'n>,
        distribution: &'a Distribution,
        init: BorrowedFd<'a>,
        state: State,
    ) -> Result<Inside<'a, 'n>> {
        let entrance = Entrance::find(container, init)?;
        Ok(Inside { container, distribution, entrance, state })
    }

    /// Runs the script of an action, if there is one, and returns its exit code. After a Ctrl-C in
    /// an earlier one, whose failure does not matter, none is run any more.
    fn run(
        &self,
        action: Action,
        variables: &[Variable],
        report: &mut dyn Report,
    ) -> Result<Option<i32>> {
        cancel::check()?;
        let Some(path) = self.distribution.script(action) else {
            if action.is_setting() {
                let name = action.key().to_ascii_lowercase();
                report.info(&format!("Warning: {name} action script is not specified"));
            }
            return Ok(None);
        };
        let shown = self.container.node.shown(path);
        report.log(1, &format!("Running container script: {}", shown.display()));
        let script = Script {
            text: self.distribution.text(action, path)?,
            environment: texts(action, variables)?,
            patience: Some(action.patience()),
        };
        script::run(&self.entrance, &script, report).map(Some)
    }

    /// Runs a script whose failure does not matter to what goes on; says whether it succeeded, or
    /// there is none.
    pub(super) fn try_run(
        &self,
        action: Action,
        variables: &[Variable],
        report: &mut dyn Report,
    ) -> bool {
        match self.run(action, variables, report) {
            Ok(code) => code.is_none_or(|code| code == 0),
            Err(error) => {
                if let Some(line) = error.line() {
                    report.error(&line);
                }
                false
            }
        }
    }
}

/// `NAME=value`, and PATH except for PRE_START; SET_CONSOLE has what action scripts have.
fn texts(action: Action, variables: &[Variable]) -> Result<Vec<CString>> {
    let own = variables.iter().map(|(name, value)| format!("{name}={value}"));
    let usual: &[&str] = match action {
        Action::PreStart => &[],
        Action::SetConsole => &["HOME=/", "TERM=linux", PATH],
        _ => &[PATH],
    };
    own.chain(usual.iter().map(|text| (*text).to_owned()))
        .map(|text| {
            // The text may be a password.
            let refused = |_| "A value for a distribution action cannot hold a NUL character";
            CString::new(text)
                .map_err(refused)
                .map_err(|text| Error::Refused(Exit::InvalidValue, text.into()))
        })
        .collect()
}

/// SET_CONSOLE.
///
/// # Errors
/// [`Exit::ActionScriptFailed`] when it fails.
pub fn set_console(inside: &Inside<'_, '_>, report: &mut dyn Report) -> Result<()> {
    succeeded(inside.run(Action::SetConsole, &[], report)?)
}

/// SET_HOSTNAME. Says whether the actions that follow it are to be done.
pub fn set_hostname(
    inside: &Inside<'_, '_>,
    config: &Config,
    name: &str,
    report: &mut dyn Report,
) -> bool {
    let variables = environment::hostname(config, name, inside.state);
    inside.try_run(Action::SetHostname, &variables, report)
}

/// SET_DNS, if `config` has name servers or search domains.
pub fn set_name_servers(inside: &Inside<'_, '_>, config: &Config, report: &mut dyn Report) {
    let variables = environment::name_servers(inside.container.node, config);
    if !variables.is_empty() {
        inside.try_run(Action::SetDns, &variables, report);
    }
}

/// SET_UGID_QUOTA, if QUOTAUGIDLIMIT is set and DISK_QUOTA is not `no`.
pub fn set_user_quota(inside: &Inside<'_, '_>, config: &Config, report: &mut dyn Report) {
    let (Some(limit), false) = (config.quotaugidlimit, config.disk_quota == Some(YesNo::No)) else {
        return;
    };
    let device = match inside.container.layout() {
        Layout::Ploop(_) => None,
        _ => std::fs::metadata(&inside.container.root).ok().map(|status| {
            let device = status.dev();
            (nix::sys::stat::major(device), nix::sys::stat::minor(device))
        }),
    };
    let variables = environment::user_quota(limit, device, inside.state);
    inside.try_run(Action::SetUgidQuota, &variables, report);
}

/// SET_USERPASS, with all users and their passwords, each `USER:PASSWORD`. They are in the
/// environment of a process of the container's, and nowhere else.
///
/// # Errors
/// [`Exit::ChangePasswordFailed`] when it fails, or takes too long.
pub fn set_passwords(
    inside: &Inside<'_, '_>,
    users: &[String],
    report: &mut dyn Report,
) -> Result<()> {
    if inside.try_run(Action::SetUserpass, &[("USERPW", users.join(" "))], report) {
        return Ok(());
    }
    report.info("Password change failed");
    Err(Error::Reported(Exit::ChangePasswordFailed))
}

/// PRE_START.
///
/// # Errors
/// [`Exit::ActionScriptFailed`] when it fails.
pub fn pre_start(
    inside: &Inside<'_, '_>,
    user_namespace: bool,
    report: &mut dyn Report,
) -> Result<()> {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let variables = [("VZ_KERNEL", yes_no(false)), ("USERNS", yes_no(user_namespace))];
    succeeded(inside.run(Action::PreStart, &variables, report)?)
}

fn succeeded(code: Option<i32>) -> Result<()> {
    match code {
        None | Some(0) => Ok(()),
        Some(_) => Err(Error::Reported(Exit::ActionScriptFailed)),
    }
}
