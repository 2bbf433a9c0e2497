//! Startup errors of the examples are sentences that name the variable to change.

#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::process::{Command, Output};

const ENVIRONMENT: [(&str, &str); 3] = [
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
    let free_ports = [("PORT", "0"), ("SANDBOX_PORT", "0")];
    command
        .envs(free_ports)
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

/// Starts an example that must fail, and returns its error message.
fn startup_error(package: &str, env: &[(&str, &str)]) -> String {
    let output = start(package, env);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{package} started: {text}");
    for debug in ["Os {", "Some(", "SettingsError", "source:", "panicked"] {
        assert!(!text.contains(debug), "{package} printed {debug}: {text}");
    }
    text
}

#[test]
fn example_names_variable_for_port_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for package in ["axum-app", "actix-app", "gdpr-erasure"] {
        let text = startup_error(package, &[("PORT", &port)]);
        assert!(text.contains(&port), "{text}");
        assert!(text.contains("set PORT if the port is in use"), "{text}");
        let text = startup_error(package, &[("SANDBOX_PORT", &port)]);
        assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
        assert!(
            text.contains("set SANDBOX_PORT if the port is in use"),
            "{text}"
        );
        let text = startup_error(package, &[("PORT", "eighty")]);
        assert!(text.contains("PORT is not a port"), "{text}");
    }
}

#[test]
fn example_names_missing_and_misspelled_setting() {
    for package in ["axum-app", "actix-app", "gdpr-erasure"] {
        let misspelled = [ENVIRONMENT[0], ("OPENHUMANS_CLIENTSECRET", "topsecret")];
        let text = startup_error(package, &misspelled);
        assert!(
            text.contains("OPENHUMANS_CLIENT_SECRET is not set"),
            "{text}"
        );
        assert!(
            text.contains("unknown environment variables: OPENHUMANS_CLIENTSECRET;"),
            "{text}"
        );
        assert!(!text.contains("topsecret"), "{text}");
    }
}

#[test]
fn example_names_database_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder/app.sqlite");
    let path = path.to_str().unwrap();
    for package in ["axum-app", "actix-app", "gdpr-erasure"] {
        let mut env = ENVIRONMENT.to_vec();
        env.push(("DATABASE", path));
        let text = startup_error(package, &env);
        assert!(text.contains(path) && text.contains("DATABASE"), "{text}");
    }
    for package in ["axum-app", "actix-app"] {
        let unused = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let url = format!("postgres://app:topsecret@{unused}/nights");
        let mut env = ENVIRONMENT.to_vec();
        env.push(("DATABASE", &url));
        let text = startup_error(package, &env);
        assert!(text.contains(&format!("{unused}/nights")), "{text}");
        assert!(!text.contains("topsecret"), "{text}");
    }
}

#[test]
fn env_example_lists_every_setting() {
    let example = include_str!("../../examples/axum-app/.env.example");
    let lines = example
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line));
    let variables: Vec<(&str, &str)> = lines
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .filter_map(|line| line.split_once('='))
        .collect();
    let names = variables.iter().map(|(name, _)| *name);
    assert_eq!(oh_core::settings::unknown_variables(names), None);

    // Every variable that the settings read is listed, and every listed value is valid.
    let missing = std::cell::RefCell::new(Vec::new());
    let settings = oh_core::Settings::from_lookup(|name| {
        if name.ends_with("_FILE") {
            return None;
        }
        match variables.iter().find(|(listed, _)| *listed == name) {
            // These do not accept an arbitrary text.
            Some((_, "")) if name == "OPENHUMANS_REDIRECT_URI" => None,
            Some((_, "")) if name == "OPENHUMANS_LEDGER_SIGNING_KEY" => None,
            Some((_, "")) if name == "OPENHUMANS_STORE_KEYS" => None,
            Some((_, "")) => Some("0123456789abcdef0123456789abcdef".to_owned()),
            Some((_, value)) => Some((*value).to_owned()),
            None => {
                missing.borrow_mut().push(name.to_owned());
                None
            }
        }
    });
    assert_eq!(missing.into_inner(), [""; 0], "not in .env.example");
    let settings = settings.unwrap().build().unwrap();
    assert_eq!(settings.warnings(), []);
    assert_eq!(
        settings.redirect_uri().as_str(),
        "http://localhost:8000/openhumans/complete"
    );
}
