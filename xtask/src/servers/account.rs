//! Who the servers run as: PostgreSQL refuses to run as root, so root hands it to an unprivileged account.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::{on_path, output};

/// The account that servers run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// The one that runs this program.
    Own,
    /// Another one, because this program runs as root.
    Other { user: u32, group: u32 },
}

impl Account {
    /// The account for this run.
    pub(super) fn current() -> Result<Self, String> {
        if !is_root()? {
            return Ok(Self::Own);
        }
        if on_path("setpriv").is_none() {
            return Err("PostgreSQL does not run as root, and setpriv (package util-linux) is not installed"
                .to_owned());
        }
        let accounts = fs::read_to_string("/etc/passwd")
            .map_err(|error| format!("/etc/passwd cannot be read: {error}"))?;
        unprivileged(&accounts)
            .ok_or_else(|| "there is neither an account postgres nor nobody to run the servers".to_owned())
    }

    /// Makes a folder that belongs to the account.
    pub(super) fn make_folder(&self, path: &Path) -> Result<(), String> {
        let made = fs::create_dir(path).and_then(|()| match self {
            Self::Own => Ok(()),
            Self::Other { user, group } => chown(path, Some(*user), Some(*group)),
        });
        made.map_err(|error| format!("the folder {} cannot be made: {error}", path.display()))
    }

    /// A command that runs as the account, gets `death` when this process dies, and cannot touch the terminal.
    pub(super) fn command(&self, program: &Path, death: &str) -> Command {
        let mut command = match (self, on_path("setpriv")) {
            (Self::Own, None) => Command::new(program),
            (Self::Own, Some(setpriv)) => {
                let mut command = Command::new(setpriv);
                command.arg("--pdeathsig").arg(death).arg("--").arg(program);
                command
            }
            (Self::Other { user, group }, setpriv) => {
                let mut command = Command::new(setpriv.unwrap_or_else(|| "setpriv".into()));
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
                command.arg("--pdeathsig").arg(death).arg("--").arg(program);
                command
            }
        };
        command.stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_none_or(|name| name.starts_with("PG")) {
                command.env_remove(&name);
            }
        }
        command
    }
}

/// Whether this program runs as root.
pub(super) fn is_root() -> Result<bool, String> {
    Ok(output(Command::new("id").arg("-u"))? == "0")
}

fn unprivileged(accounts: &str) -> Option<Account> {
    let find = |wanted: &str| {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _password, user, group) =
                (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            (name == wanted)
                .then_some(Account::Other { user: user.parse().ok()?, group: group.parse().ok()? })
        })
    };
    find("postgres").or_else(|| find("nobody"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_account_is_preferred() {
        let both = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\npostgres:x:101:104:P:/var:/bin/bash\n";
        assert_eq!(unprivileged(both), Some(Account::Other { user: 101, group: 104 }));
        let one = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(unprivileged(one), Some(Account::Other { user: 65534, group: 65533 }));
        assert_eq!(unprivileged("root:x:0:0::/root:/bin/sh\n"), None);
    }
}
