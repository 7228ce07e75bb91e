"""The lab: network namespaces with real servers, for the tests and the demo."""
