//! Compiles the code samples of the README and the guides.

macro_rules! guides {
    ($($name:ident: $file:literal)*) => {
        $(
            #[doc = include_str!(concat!("../../", $file))]
            mod $name {}
        )*
    };
}

guides! {
    readme: "README.md"
    start: "docs/start.md"
    axum: "docs/axum.md"
    actix: "docs/actix.md"
    token_store: "docs/token-store.md"
    erasure: "docs/erasure.md"
    testing: "docs/testing.md"
    background_jobs: "docs/background-jobs.md"
    several_processes: "docs/several-processes.md"
    production: "docs/production.md"
}
