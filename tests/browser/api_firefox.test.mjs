import { apiTestsIn } from "./api_cases.mjs";

apiTestsIn("firefox");
