// A worker that has nothing to do with Headwise.
onmessage = ({ data }) => typeof data === "string" && postMessage(data);
