//! `ConditioningZeroOut`: a prompt that says nothing.

use crate::prelude::*;

pub struct ConditioningZeroOut;

impl Node for ConditioningZeroOut {
    fn spec(&self) -> Spec {
        Spec::new("ConditioningZeroOut", "advanced/conditioning")
            .input("conditioning", link("CONDITIONING"))
            .output("CONDITIONING")
            .describe("The same with a prompt of zeros; pictures that go with it stay.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let conditioning = inputs.object::<Conditioning>("conditioning")?;
        let zeroed = Conditioning { text: conditioning.text.zeroed(), image: conditioning.image.clone() };
        one(Value::object(zeroed))
    }
}
