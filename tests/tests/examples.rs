//! An example that cannot start says why in sentences, and names the variable that changes it.

#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::process::{Command, Output};

const REAL: [(&str, &str); 3] = [
    ("OPENHUMANS_CLIENT_ID", "id"),
    ("OPENHUMANS_CLIENT_SECRET", "secret"),
    ("OPENHUMANS_APP_BASE_URL", "http://localhost:8000"),
];

fn start(package: &str, env: &[(&str, &str)]) -> Output {
    let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "-p", package])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for name in inherited.filter(|name| name.starts_with("OPENHUMANS_")) {
        command.env_remove(name);
    }
    let free = [("PORT", "0"), ("SANDBOX_PORT", "0")];
    command
        .envs(free)
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

/// What it says when it does not start: sentences, and nothing of Rust's.
fn complaint(package: &str, env: &[(&str, &str)]) -> String {
    let output = start(package, env);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{package} started: {said}");
    for debug in ["Os {", "Some(", "SettingsError", "source:", "panicked"] {
        assert!(
            !said.contains(debug),
            "{debug} in what {package} says: {said}"
        );
    }
    said
}

#[test]
fn a_port_that_is_taken_is_named_with_the_variable_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for package in ["axum-app", "actix-app", "gdpr-erasure"] {
        let said = complaint(package, &[("PORT", &port)]);
        assert!(said.contains(&port), "{said}");
        assert!(said.contains("set PORT to another"), "{said}");
        let said = complaint(package, &[("SANDBOX_PORT", &port)]);
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
        assert!(said.contains("set SANDBOX_PORT to another"), "{said}");
        let said = complaint(package, &[("PORT", "eighty")]);
        assert!(said.contains("PORT is not a port"), "{said}");
    }
}

#[test]
fn a_setting_that_is_missing_or_misspelt_is_named() {
    for package in ["axum-app", "actix-app", "gdpr-erasure"] {
        let misspelt = [REAL[0], ("OPENHUMANS_CLIENTSECRET", "topsecret")];
        let said = complaint(package, &misspelt);
        assert!(
            said.contains("OPENHUMANS_CLIENT_SECRET is not set"),
            "{said}"
        );
        assert!(
            said.contains("is OPENHUMANS_CLIENT_SECRET meant?"),
            "{said}"
        );
        assert!(!said.contains("topsecret"), "{said}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder/app.sqlite");
    let path = path.to_str().unwrap();
    for (package, variable) in [
        ("axum-app", "DATABASE"),
        ("actix-app", "DATABASE"),
        ("gdpr-erasure", "GDPR_ERASURE_DB"),
    ] {
        let mut env = REAL.to_vec();
        env.push((variable, path));
        let said = complaint(package, &env);
        assert!(said.contains(path) && said.contains(variable), "{said}");
    }
    for package in ["axum-app", "actix-app"] {
        let nobody = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let url = format!("postgres://app:topsecret@{nobody}/nights");
        let mut env = REAL.to_vec();
        env.push(("DATABASE", &url));
        let said = complaint(package, &env);
        assert!(said.contains(&format!("{nobody}/nights")), "{said}");
        assert!(!said.contains("topsecret"), "{said}");
    }
}

#[test]
fn the_environment_that_is_shown_is_the_one_that_is_read() {
    let shown = include_str!("../../examples/axum-app/.env.example");
    let lines = shown
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line));
    let variables: Vec<(&str, &str)> = lines
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .filter_map(|line| line.split_once('='))
        .collect();
    let names = variables.iter().map(|(name, _)| *name);
    assert_eq!(oh_core::settings::unknown_variables(names), []);

    // Every setting that is read is shown, and the values that are shown can be used.
    let unseen = std::cell::RefCell::new(Vec::new());
    let settings = oh_core::Settings::from_lookup(|name| {
        if name.ends_with("_FILE") {
            return None;
        }
        match variables.iter().find(|(shown, _)| *shown == name) {
            // These have a form of their own.
            Some((_, "")) if name == "OPENHUMANS_REDIRECT_URI" => None,
            Some((_, "")) if name == "OPENHUMANS_LEDGER_SIGNING_KEY" => None,
            Some((_, "")) => Some("0123456789abcdef0123456789abcdef".to_owned()),
            Some((_, value)) => Some((*value).to_owned()),
            None => {
                unseen.borrow_mut().push(name.to_owned());
                None
            }
        }
    });
    assert_eq!(unseen.into_inner(), [""; 0], "not in .env.example");
    let settings = settings.unwrap().build().unwrap();
    assert_eq!(settings.warnings(), []);
    assert_eq!(
        settings.redirect_uri().as_str(),
        "http://localhost:8000/openhumans/complete"
    );
}
