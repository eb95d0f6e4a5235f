const request = async () => {
  throw new DOMException("The request was denied.", "SecurityError");
};
Object.defineProperty(navigator, "locks", { value: { request } });
