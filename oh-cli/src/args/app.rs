//! Commands for those who run an app.

use clap::Args;

#[derive(Args)]
pub(crate) struct Doctor {
    /// The database the app keeps tokens in: a postgres:// address, or the path of an SQLite file
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "DATABASE"
    )]
    pub(crate) database: Option<String>,
    /// Where the app mounts the routes of Open Humans
    #[arg(long, default_value = "/openhumans", value_name = "PATH")]
    pub(crate) mount_path: String,
    /// Ask nothing of the app itself, as before it is started
    #[arg(long)]
    pub(crate) no_app: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "database")]
#[derive(Args)]
pub(crate) struct ImportDjango {
    /// The Django app's database: a postgres:// address, or the path of an SQLite file
    #[arg(long, value_name = "DATABASE")]
    pub(crate) from: String,
    /// The database to bring them into, of the same kinds; its tables are made if need be
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "DATABASE"
    )]
    pub(crate) to: String,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
