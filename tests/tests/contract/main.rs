//! The contract suite: the behavior of Open Humans' endpoints that the API client relies on.
//!
//! By default each test starts its own sandbox. The environment can name a real server instead:
//!
//! | variable | meaning |
//! |---|---|
//! | `OH_CONTRACT_BASE_URL` | the server's URL, which makes the other variables required |
//! | `OH_CONTRACT_CLIENT_ID` | the project's client id |
//! | `OH_CONTRACT_CLIENT_SECRET` | the client secret |
//! | `OH_CONTRACT_MASTER_TOKEN` | the master token |
//! | `OH_CONTRACT_REDIRECT_URI` | the redirect URI |
//! | `OH_CONTRACT_AUTHORIZE` | a command that opens an authorization URL and prints the final URL of the browser |
//!
//! The tests then run one at a time as the member that the command authorizes. Each test restores the
//! server: it deletes new files, lets a removed member join again and revokes tokens. It cannot undo
//! messages to the member and the member's participation in the project. Tests of faults always use
//! the sandbox.

// Test helpers may unwrap like tests.
#![allow(clippy::unwrap_used)]

mod bulk;
mod faults;
mod files;
mod job;
mod lists;
mod members;
mod oauth;
mod public;
mod recorded;
mod recorder;
mod server;
