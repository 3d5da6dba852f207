//! How the commands are used. First lines are the original's: scripts look for them.

pub const MAIN: &str = "\
Usage: vzquota [options] command quotaid [command-options-and-arguments]

options: [-h] [-V,--version] [-v] [-q] [-b,--batch]

commands:
\tinit       count a directory, and make its quota file
\ton         begin to limit it
\toff        stop limiting it; what it holds is kept in the file
\tdrop       remove the quota file
\tsetlimit   change limits, at once when the quota is on
\tsetlimit2  change limits of a user or a group in it
\treload2    take over the limits of users and groups from the quota file
\tstat       show limits and what is held
\tshow       show what the quota file has
";

pub const INIT: &str = "\
Usage: vzquota init <quotaid> -p <mount_path> [-c <quota_file>]
\t[-R,--relative]
\t[-s,--sub-quotas 1|0]
\t[-u,--ugid-limit <number of users and groups>]
\t-b,--block-softlimit <1K blocks>  -B,--block-hardlimit <1K blocks>
\t-i,--inode-softlimit <number>     -I,--inode-hardlimit <number>
\t-e,--block-exptime <time>         -n,--inode-exptime <time>
";

pub const ON: &str = "\
Usage: vzquota on <quotaid> [-p <mount_path>] [-c <quota_file>]
\t[-R,--relative]
\t[-f,--force] [--nocheck]
\t[-s,--sub-quotas 1|0]
\t[-u,--ugid-limit <number of users and groups>]
\t[-b <block_soft_limit>] [-B <block_hard_limit>]
\t[-i <inode_soft_limit>] [-I <inode_hard_limit>]
\t[-e <block_expiration_time>] [-n <inode_expiration_time>]
";

pub const SETLIMIT: &str = "\
Usage: vzquota setlimit <quotaid> [-p <mount_path>] [-c <quota_file>]
\t[-R,--relative]
\t[-f,--force]
\t[-s,--sub-quotas 1|0]
\t[-u,--ugid-limit <number of users and groups>]
\t[-b <block_soft_limit>] [-B <block_hard_limit>]
\t[-i <inode_soft_limit>] [-I <inode_hard_limit>]
\t[-e <block_expiration_time>] [-n <inode_expiration_time>]
";

pub const SETLIMIT2: &str = "\
Usage: 
\tvzquota setlimit2 <quotaid> [-p <mount_path>] [-c <quota_file>]
\t\t[-R,--relative]
\t\t-u|-g <user or group>
\t\t<block_soft_limit> <block_hard_limit>
\t\t<inode_soft_limit> <inode_hard_limit>
\tvzquota setlimit2 <quotaid> [-p <mount_path>] [-c <quota_file>]
\t\t[-R,--relative]
\t\t-t [-u|-g] <block_grace> <inode_grace>
";

pub const OFF: &str = "\
Usage: vzquota off <quotaid> [-p <mount_path>] [-c <quota_file>]
\t[-R,--relative]
\t[-f,--force]
";

pub const DROP: &str = "\
Usage: vzquota drop <quotaid> [-p <mount_path>] [-c <quota_file>]
\t[-R,--relative]
\t[-f,--force]
";

pub const RELOAD2: &str = "\
Usage: vzquota reload2 <quotaid> [-p <mount_path>] [-c <quota_file>]
\t[-R,--relative]
";

pub const STAT: &str = "\
Usage: vzquota stat quotaid [-p <mount_path>] [-c,--quota-file <quota_file>]
\t[-R,--relative]
\t[-f,--force]
\t[-t,--user-group]
";

pub const SHOW: &str = "\
Usage: vzquota show quotaid [-p <mount_path>] [-c <quota_file>]
\t[-R,--relative]
\t[-t,--user-group]
";
