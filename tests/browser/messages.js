// What goes wrong on the page beside the calls of the tests; in WebKitGTK there is no other way to learn of it.
window.messages = [];
addEventListener("error", (event) => messages.push(`error: ${event.message}`));
addEventListener("unhandledrejection", (event) => messages.push(`unhandled rejection: ${event.reason}`));
addEventListener("securitypolicyviolation", (event) =>
  messages.push(`policy violation: ${event.violatedDirective} ${event.blockedURI}`),
);
