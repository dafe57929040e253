//! The locked packages: none that is banned, and not too many, because every build pays for them.

use super::fault::Fault;
use super::repository::Repository;

const MOST: usize = 430;

/// Banned packages; a `*` stands for any end.
const BANNED: [(&str, &str); 7] = [
    ("aws-sdk-*", "S3 goes through object_store"),
    ("aws-config", "S3 goes through object_store"),
    ("aws-lc-sys", "TLS is rustls with ring"),
    ("sqlx", "databases go through rusqlite and tokio-postgres"),
    ("sqlx-*", "databases go through rusqlite and tokio-postgres"),
    ("openssl-sys", "TLS is rustls with ring"),
    ("native-tls", "TLS is rustls with ring"),
];

/// Finds banned packages, and too many.
pub(super) fn check(repository: &Repository) -> Vec<Fault> {
    let file = "Cargo.lock";
    let Some(text) = repository.text(file) else {
        return vec![Fault::new(
            file,
            1,
            "it is missing: commit it, so that every build uses the same packages",
        )];
    };
    let names = text.lines().enumerate().filter_map(|(index, line)| {
        let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
        Some((index + 1, name))
    });
    let mut faults = Vec::new();
    let mut count = 0;
    for (line, name) in names {
        count += 1;
        if let Some((_, instead)) = BANNED.iter().find(|(banned, _)| fits(banned, name)) {
            let advice =
                format!("{name} is banned: {instead}; `cargo tree --invert {name}` shows who brings it");
            faults.push(Fault::new(file, line, advice));
        }
    }
    if count > MOST {
        faults.push(Fault::new(
            file,
            1,
            format!("{count} packages, more than {MOST}: leave out what is not worth its build time"),
        ));
    }
    faults
}

fn fits(banned: &str, name: &str) -> bool {
    banned.strip_suffix('*').map_or(banned == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Fault> {
        let text: String = names
            .into_iter()
            .map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"1\"\n"))
            .collect();
        check(&Repository::of([("Cargo.lock", text.as_str())]))
    }

    #[test]
    fn banned_packages_are_named() {
        for name in
            ["aws-sdk-s3", "aws-config", "aws-lc-sys", "sqlx", "sqlx-core", "openssl-sys", "native-tls"]
        {
            let found = locked(["serde", name]);
            assert!(
                found.len() == 1 && found[0].line == 5 && found[0].advice.starts_with(name),
                "{name}: {found:?}"
            );
        }
        assert_eq!(locked(["serde", "aws-lc", "openssl-probe", "my-sqlx"]), []);
    }

    #[test]
    fn packages_are_counted() {
        assert_eq!(locked(vec!["a"; MOST]), []);
        assert_eq!(locked(vec!["a"; MOST + 1]).len(), 1);
    }

    #[test]
    fn a_missing_lock_is_a_fault() {
        assert_eq!(check(&Repository::of([])).len(), 1);
    }
}
