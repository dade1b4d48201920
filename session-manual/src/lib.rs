#![doc = include_str!("overview.md")]

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[doc = include_str!("deployment.md")]
pub mod deployment {}

#[doc = include_str!("identity.md")]
pub mod identity {}

#[doc = include_str!("operations.md")]
pub mod operations {}

#[doc = include_str!("protection.md")]
pub mod protection {}

#[doc = include_str!("protocol.md")]
pub mod protocol {}

#[doc = include_str!("secrets.md")]
pub mod secrets {}

#[doc = include_str!("sizing.md")]
pub mod sizing {}

#[doc = include_str!("stores.md")]
pub mod stores {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("threats.md")]
pub mod threats {}

#[doc = include_str!("writing_a_store.md")]
pub mod writing_a_store {}

#[doc = include_str!("writing_an_adapter.md")]
pub mod writing_an_adapter {}

#[doc = include_str!("moving.md")]
pub mod moving {
    #[doc = include_str!("moving/actix_session.md")]
    pub mod actix_session {}

    #[doc = include_str!("moving/async_session.md")]
    pub mod async_session {}

    #[doc = include_str!("moving/axum_session.md")]
    pub mod axum_session {}

    #[doc = include_str!("moving/rocket_flex_session.md")]
    pub mod rocket_flex_session {}

    #[doc = include_str!("moving/tower_sessions.md")]
    pub mod tower_sessions {}

    #[doc = include_str!("moving/warp_sessions.md")]
    pub mod warp_sessions {}
}
