//! `oh doctor`: whether an app is set up right, before a member finds out that it is not.
//!
//! Reads the environment as the app does, and asks Open Humans, the app and its database. Nothing
//! is changed anywhere: each question is one whose answer tells right from wrong, and which has no
//! effect in either case.

mod app;
mod open_humans;
mod report;
mod settings;
#[cfg(feature = "database")]
mod store;

use oh_core::transport::HttpClient;

use crate::access::Access;
use crate::args::Doctor;
use crate::failure::Failure;
use report::Report;

pub(crate) async fn run(access: &Access, args: Doctor) -> Result<(), Failure> {
    let mut report = Report::default();
    let settings = settings::read(&mut report, &access.base_url, &args.mount_path);
    let keys = settings::keys(&mut report, settings.as_ref());
    if let Some(settings) = &settings {
        let transport = HttpClient::new().map_err(oh_api::Error::from)?;
        if open_humans::reach(&mut report, settings.oh_base_url(), &transport).await {
            open_humans::credentials(&mut report, settings, &transport).await;
            open_humans::master_token(&mut report, settings, &transport).await;
        } else {
            report.skip("credentials", "Open Humans has to be reached first");
            report.skip("master token", "Open Humans has to be reached first");
        }
        if args.no_app {
            report.skip("redirect URI", "the app was not to be asked");
            report.skip("webhook", "the app was not to be asked");
        } else {
            app::redirect_uri(&mut report, settings, &transport).await;
            app::webhook(&mut report, settings, &transport).await;
        }
    } else {
        for about in [
            "Open Humans",
            "credentials",
            "master token",
            "redirect URI",
            "webhook",
        ] {
            report.skip(about, "the settings have to be right first");
        }
    }
    match &args.database {
        None => report.warn(
            "database",
            "none was named: give --database or DATABASE_URL. An app without one keeps tokens and \
             wishes to be erased in memory, and loses them with the process",
        ),
        #[cfg(feature = "database")]
        Some(database) => store::examine(&mut report, database, keys.as_ref()).await,
        #[cfg(not(feature = "database"))]
        Some(_) => {
            let _ = keys;
            report.skip(
                "database",
                "this oh was built without the feature `database`",
            );
        }
    }
    report.end(args.json)
}
