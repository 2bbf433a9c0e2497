//! The router: a guard before each route, and the rendering of responses around all of them.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use oh_core::login::{LoginFailure, LoginPage as LoginRoutePage, LoginPages};
use oh_core::{OpenHumans, Settings, Timestamp};
use tokio::sync::OnceCell;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app::{App, Shared};
use crate::assets;
use crate::context::Context;
use crate::error::PageError;
use crate::guard::guard;
use crate::openapi;
use crate::pages::{LoginPage, LogoutPage, Page, table};
use crate::render::{RenderState, page_response, render};
use crate::settings::Pages;

impl Pages {
    /// Returns the routes of the pages. Mount them under
    /// [`Settings::mount_path`](oh_core::Settings::mount_path), beside the routes of `oh-core`.
    ///
    /// Each request must have an [`oh_core::routes::SessionReader`] among its extensions;
    /// `oh_axum::with_session` and `oh_actix::configure_with` insert it.
    pub fn router<S>(&self, openhumans: &OpenHumans) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let own = [
            (Access::Public, routes!(assets::asset)),
            (Access::Public, routes!(openapi::document)),
        ];
        let routes = own.into_iter().chain(table());
        let routes = routes.filter(|(access, _)| *access != Access::Staff || self.staff.is_some());
        let (described, mounted): (Vec<_>, Vec<_>) = routes
            .map(|(access, (schemas, paths, methods))| {
                let path = paths.paths.keys().next().cloned().unwrap_or_default();
                ((access, schemas, paths), (access, path, methods))
            })
            .unzip();
        let app = App::new(Shared {
            openhumans: openhumans.clone(),
            appearance: self.appearance.clone(),
            max_upload: self.max_upload,
            staff: self.staff.clone(),
            source: OnceCell::new(),
            document: openapi::describe(openhumans.settings(), &self.appearance.name, described),
        });
        let renderer = self.renderer.clone();
        let state = RenderState {
            app: app.clone(),
            renderer,
        };
        let mut router = Router::new().fallback(async || PageError::not_found());
        for (access, path, methods) in mounted {
            let layer = from_fn_with_state((app.clone(), access), guard);
            let methods = methods.route_layer(layer);
            if path != "/" {
                router = router.route(&format!("{path}/"), methods.clone());
            }
            router = router.route(&path, methods);
        }
        router
            .layer(from_fn_with_state(state, render))
            .with_state(app)
    }
}

impl LoginPages for Pages {
    fn render(
        &self,
        page: &LoginRoutePage<'_>,
        headers: &HeaderMap,
        settings: &Settings,
    ) -> Response<Bytes> {
        let cx = Context::new(&self.appearance, settings, headers, Timestamp::now());
        let page: Page = match page {
            LoginRoutePage::Failed { failure, retry_url } => {
                LoginPage::failed(&cx, failure, retry_url).into()
            }
            LoginRoutePage::ConfirmLogin { login_url } => LoginPage::confirm(&cx, login_url).into(),
            LoginRoutePage::ConfirmLogout { logout_url } => LogoutPage {
                logout_url: (*logout_url).to_owned(),
            }
            .into(),
            _ => {
                LoginPage::failed(&cx, &LoginFailure::IncompleteCallback, &cx.path("/login")).into()
            }
        };
        page_response(&cx, self.renderer.as_deref(), StatusCode::OK, &page)
    }
}
