//! The same expectations, held to a real Nomad: `NOMAD=/path/to/nomad`. Without it each says that it
//! was skipped. Needs root: a real client mounts and makes control groups.

use contract::{Kind, Region, expectations::*, for_each_expectation};

macro_rules! tests {
    ($($module:ident::$name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let Some(region) = Region::start(Kind::Real).await.unwrap() else { return };
                $module::$name(&region).await.unwrap();
            }
        )*
    };
}

for_each_expectation!(tests);
