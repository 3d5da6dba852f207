//! The usage text, written from the one parameter table.

use std::fmt::Write;

use vz_conf::param::{Commands, PARAMS};

/// The version of the original whose place this takes: panels compare it.
pub const VERSION: &str = "4.11.1";

/// Commands and what they take.
const COMMANDS: &str = "\
vzctl [options] <command> <CTID|NAME> [parameters]

Options:  --quiet  --verbose  --skiplock  --version  --help

vzctl create <ctid> [--ostemplate <name>] [--config <name>] [--layout simfs|ploop]
   [--private <path>] [--root <path>] [--hostname <name>] [--name <name>]
   [--description <text>] [--ipadd <addr>] [--diskspace <kbytes>] [--diskinodes <num>]
   [--local_uid <uid>] [--local_gid <gid>]
vzctl start <ctid> [--force] [--wait] [--skip-fsck] [--skip-remount] [--skip_ve_setup]
vzctl stop <ctid> [--fast] [--skip-umount]
vzctl restart <ctid> [--force] [--wait] [--fast]
vzctl destroy | delete | mount | umount | status <ctid>
vzctl exec | exec2 | exec3 <ctid> <command> [arg ...]
vzctl enter <ctid> [--exec <command> [arg ...]]
vzctl runscript <ctid> <script>
vzctl console <ctid> [tty]
vzctl suspend | chkpnt <ctid> [--suspend|--dump|--resume|--kill] [--dumpfile <file>]
vzctl resume | restore <ctid> [--undump|--resume|--kill] [--dumpfile <file>]
vzctl quotaon | quotaoff | quotainit <ctid>
vzctl snapshot <ctid> [--id <uuid>] [--name <name>] [--description <text>]
   [--skip-suspend] [--skip-config]
vzctl snapshot-switch <ctid> --id <uuid> [--skip-resume|--must-resume] [--skip-config]
vzctl snapshot-delete | snapshot-umount <ctid> --id <uuid>
vzctl snapshot-mount <ctid> --id <uuid> --target <directory>
vzctl snapshot-list <ctid> [-H] [-o <field>[,<field>...]] [--id <uuid>]
vzctl convert <ctid> [--layout ploop|simfs|overlay]
vzctl compact <ctid>
vzctl set <ctid> [--save] [--force] [--setmode restart|ignore] [parameters]
";

/// The whole text.
pub fn text() -> String {
    // libvirt reads the version from the first line.
    let mut text = format!("vzctl version {VERSION}\n{COMMANDS}");
    for param in PARAMS.iter().filter(|param| param.commands.has(Commands::SET)) {
        let names: Vec<String> = param.options.iter().map(|option| format!("--{option}")).collect();
        let short = param.short.map(|short| format!("-{short}, ")).unwrap_or_default();
        let argument = param.argument.map(|argument| format!(" <{argument}>")).unwrap_or_default();
        let _ = writeln!(
            text,
            "   {:<38} {}",
            format!("{short}{}{argument}", names.join("|")),
            param.help
        );
    }
    text.push_str("vzctl set <ctid> --save --force   saves without the kernel's consent\n");
    text
}
