//! The pages' HTML. Everything that comes from a visitor is escaped by the template engine, which does so in each file whose name
//! ends in `.html`.

use std::sync::LazyLock;

use minijinja::{Environment, Error, UndefinedBehavior, Value};

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../templates/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 16] = templates![
    "layout.html",
    "style.css",
    "home.html",
    "browser_side.html",
    "server_side.html",
    "place.html",
    "counted.html",
    "cleared.html",
    "login.html",
    "login_form.html",
    "private.html",
    "cart.html",
    "transfer.html",
    "devices.html",
    "password.html",
    "notice.html",
];

static ENVIRONMENT: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, template) in TEMPLATES {
        environment.add_template(name, template)?;
    }
    Ok(environment)
});

/// The page of that template. A template that can't be rendered is a mistake of this program, which the log tells.
pub(crate) fn render(name: &str, with: Value) -> String {
    let rendered = match &*ENVIRONMENT {
        Ok(environment) => environment.get_template(name).and_then(|template| template.render(with)),
        Err(error) => return broken(name, error),
    };
    rendered.unwrap_or_else(|error| broken(name, &error))
}

fn broken(name: &str, error: &Error) -> String {
    tracing::error!(name, "{error:#}");
    "<!doctype html><title>This page is broken</title><p>This page is broken; the program’s log says why.".to_owned()
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn nothing_a_visitor_types_is_markup() {
        let typed = "<script>alert(\"1\" & '2')</script> ü 🍪";
        let form = render("login_form.html", context! { typed });
        assert!(!form.contains("<script") && form.contains("ü 🍪\""), "{form}");
        assert_eq!(
            form.matches(['<', '>']).count(),
            render("login_form.html", context! {}).matches(['<', '>']).count()
        );
    }
}
