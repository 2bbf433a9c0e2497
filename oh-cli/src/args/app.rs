//! Commands for operators of an app.

use clap::Args;

#[derive(Args)]
pub(crate) struct Doctor {
    /// The app's database: a postgres:// URL or the path of an SQLite file
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "DATABASE"
    )]
    pub(crate) database: Option<String>,
    /// The path at which the app mounts the Open Humans routes
    #[arg(long, default_value = "/openhumans", value_name = "PATH")]
    pub(crate) mount_path: String,
    /// Skip the checks that send requests to the app, for use before it is started
    #[arg(long)]
    pub(crate) no_app: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "database")]
#[derive(Args)]
pub(crate) struct ImportDjango {
    /// The Django app's database: a postgres:// URL or the path of an SQLite file
    #[arg(long, value_name = "DATABASE")]
    pub(crate) from: String,
    /// The database to import into, of either kind; missing tables are created
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "DATABASE"
    )]
    pub(crate) to: String,
    /// Print what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
