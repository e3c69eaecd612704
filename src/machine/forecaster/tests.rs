//! Tests of the forecaster over a fake model.
