import DefaultTheme from "vitepress/theme-without-fonts";
import Machines from "./Machines.vue";
import Sample from "./Sample.vue";
import "./style.css";

export default {
  extends: DefaultTheme,
  enhanceApp({ app }) {
    app.component("Machines", Machines);
    app.component("Sample", Sample);
  },
};
