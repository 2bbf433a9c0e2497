//! `oh doctor`: checks the configuration of an app before members depend on it.
//!
//! Reads the environment like the app, and queries Open Humans, the app and its database. No check
//! changes anything: each request is one that has no effect whether it succeeds or fails.

mod app;
mod http;
mod open_humans;
mod report;
mod settings;
#[cfg(feature = "database")]
mod store;

use oh_core::transport::HttpClient;

use crate::access::Access;
use crate::args::Doctor;
use crate::error::CliError;
use report::Report;

pub(crate) async fn run(access: &Access, args: Doctor) -> Result<(), CliError> {
    let mut report = Report::default();
    let settings = settings::read(&mut report, &access.base_url, &args.mount_path);
    let keys = settings::keys(&mut report, settings.as_ref());
    if let Some(settings) = &settings {
        let transport = HttpClient::new().map_err(oh_api::Error::from)?;
        if open_humans::reachable(&mut report, settings.oh_base_url(), &transport).await {
            open_humans::credentials(&mut report, settings, &transport).await;
            open_humans::master_token(&mut report, settings, &transport).await;
        } else {
            for check in ["credentials", "master token"] {
                report.skipped(check, "requires a connection to Open Humans");
            }
        }
        if args.no_app {
            for check in ["redirect URI", "webhook"] {
                report.skipped(check, "--no-app is set");
            }
        } else {
            app::redirect_uri(&mut report, settings, &transport).await;
            app::webhook(&mut report, settings, &transport).await;
        }
    } else {
        for check in [
            "Open Humans",
            "credentials",
            "master token",
            "redirect URI",
            "webhook",
        ] {
            report.skipped(check, "requires valid settings");
        }
    }
    match &args.database {
        None => report.warning(
            "database",
            "not checked: pass --database or set DATABASE_URL. Without a database, an app loses \
             tokens and erasure requests when it restarts",
        ),
        #[cfg(feature = "database")]
        Some(database) => store::check(&mut report, database, keys.as_ref()).await,
        #[cfg(not(feature = "database"))]
        Some(_) => {
            let _ = keys;
            report.skipped(
                "database",
                "this oh was built without the feature `database`",
            );
        }
    }
    report.print(args.json)
}
